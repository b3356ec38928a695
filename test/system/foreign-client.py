"""Debian's python3-websockets as a client of /echo: foreign-client.py URL CODE prints a report as JSON."""

import asyncio
import json
import sys

import websockets

MEGABYTE = 1_048_576


async def talk(url: str, code: int) -> dict:
    text = "aé弹🎏" * (MEGABYTE // 10) + "tail-1"
    binary = bytes((index * 7 + (index >> 8)) & 255 for index in range(MEGABYTE))
    async with websockets.connect(url, max_size=4 * MEGABYTE) as socket:
        await socket.send(text)
        first = await socket.recv()
        await socket.send(binary)
        second = await socket.recv()
        # Resolves when the pong with this payload comes.
        pong = await socket.ping("are you there")
        await asyncio.wait_for(pong, 10)
        await socket.close(code, "done")
        return {
            "text": first == text,
            "binary": second == binary,
            "pong": True,
            # What the server answered; 1006 without an answer.
            "code": socket.close_code,
            "reason": socket.close_reason,
        }


print(json.dumps(asyncio.run(talk(sys.argv[1], int(sys.argv[2])))))
