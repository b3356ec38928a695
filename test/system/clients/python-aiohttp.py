"""Debian's python3-aiohttp: python-aiohttp.py TASK prints a report (see talk.ts) as JSON."""

import asyncio
import json
import sys

import aiohttp

MEGABYTE = 1_048_576
TEXT = "aé弹🎏" * (MEGABYTE // 10) + "tail-1"
BINARY = bytes((index * 7 + (index >> 8)) & 255 for index in range(MEGABYTE))


async def talk(task: dict) -> dict:
    async with aiohttp.ClientSession() as session:
        echo = await session.ws_connect(
            task["server"] + "/echo", compress=15, max_msg_size=4 * MEGABYTE, autoping=False
        )

        async def receive(kind) -> aiohttp.WSMessage:
            while True:
                message = await echo.receive(10)
                if message.type == aiohttp.WSMsgType.PING:
                    await echo.pong(message.data)
                elif message.type == kind:
                    return message
                else:
                    raise RuntimeError(f"{message} came, not {kind}")

        await echo.send_str(TEXT)
        first = await receive(aiohttp.WSMsgType.TEXT)
        await echo.send_bytes(BINARY)
        second = await receive(aiohttp.WSMsgType.BINARY)
        await echo.ping(b"are you there")
        pong = await receive(aiohttp.WSMsgType.PONG)
        deflate = echo.compress != 0
        await echo.close(code=task["code"], message=b"done")
        code = echo.close_code

        native = await session.ws_connect(task["server"] + "/ws")

        async def until(is_it) -> dict:
            while True:
                message = await native.receive_json()
                if is_it(message):
                    return message

        topic = task["topic"]
        await native.send_json({"id": 1, "method": "subscribe", "params": {"topics": [topic]}})
        await until(lambda message: message.get("id") == 1)
        publish = {"topic": topic, "data": task["data"]}
        await native.send_json({"id": 2, "method": "publish", "params": publish})
        publication = await until(lambda message: message.get("topic") == topic)
        await native.send_bytes(b"not for /ws")
        while not native.closed:
            await native.receive(10)
        return {
            "text": first.data == TEXT,
            "binary": second.data == BINARY,
            "fragmented": None,
            "pong": bytes(pong.data) == b"are you there",
            "deflate": deflate,
            "code": code,
            "native": publication["data"],
            "serverCode": native.close_code,
        }


print(json.dumps(asyncio.run(talk(json.loads(sys.argv[1])))))
