"""The yardstick: a bare aiohttp loop over the same requests, which keeps nothing.  Usage: client_bare.py URL IN_FLIGHT."""

import asyncio
import json
import sys
import time

import aiohttp
from items import WARM_UP, prompts

URL, IN_FLIGHT = sys.argv[1], int(sys.argv[2])
PROMPTS = prompts()


async def main(texts: list[str]) -> int:
    """Asks everything and returns the number of answers."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(prompt: str) -> str:
            async with gate:
                body = {"model": "mock", "messages": [{"role": "user", "content": prompt}], "temperature": 0.0}
                async with session.post(f"{URL}/chat/completions", json=body) as reply:
                    return str((await reply.json())["choices"][0]["message"]["content"])

        return len(await asyncio.gather(*(one(prompt) for prompt in texts)))


asyncio.run(main(PROMPTS[:WARM_UP]))
wall, cpu = time.perf_counter(), time.process_time()
count = asyncio.run(main(PROMPTS))
print(json.dumps({"items": count, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
