"""Debian's python3-websockets: python-websockets.py TASK prints a report (see talk.ts) as JSON."""

import asyncio
import json
import sys

import websockets

MEGABYTE = 1_048_576
TEXT = "aé弹🎏" * (MEGABYTE // 10) + "tail-1"
BINARY = bytes((index * 7 + (index >> 8)) & 255 for index in range(MEGABYTE))


async def talk(task: dict) -> dict:
    async with websockets.connect(task["server"] + "/echo", max_size=4 * MEGABYTE) as socket:
        await socket.send(TEXT)
        first = await socket.recv()
        await socket.send(BINARY)
        second = await socket.recv()
        await socket.send(["one ", "two ", "three"])  # an iterable is sent as fragments
        third = await socket.recv()
        # Resolves when the pong with this payload comes.
        pong = await socket.ping("are you there")
        await asyncio.wait_for(pong, 10)
        deflate = any(each.name == "permessage-deflate" for each in socket.extensions)
        await socket.close(task["code"], "done")
        code = socket.close_code  # what the server answered; 1006 without an answer
    async with websockets.connect(task["server"] + "/ws") as socket:

        async def until(is_it) -> dict:
            while True:
                message = json.loads(await socket.recv())
                if is_it(message):
                    return message

        topic = task["topic"]
        await socket.send(json.dumps({"id": 1, "method": "subscribe", "params": {"topics": [topic]}}))
        await until(lambda message: message.get("id") == 1)
        publish = {"topic": topic, "data": task["data"]}
        await socket.send(json.dumps({"id": 2, "method": "publish", "params": publish}))
        publication = await until(lambda message: message.get("topic") == topic)
        await socket.send(b"not for /ws")
        await socket.wait_closed()
        return {
            "text": first == TEXT,
            "binary": second == BINARY,
            "fragmented": third == "one two three",
            "pong": True,
            "deflate": deflate,
            "code": code,
            "native": publication["data"],
            "serverCode": socket.close_code,
        }


print(json.dumps(asyncio.run(talk(json.loads(sys.argv[1])))))
