"""A bare loop over the openai package.  Usage: client_openai.py URL IN_FLIGHT."""

import asyncio
import json
import sys
import time

from items import WARM_UP, prompts
from openai import AsyncOpenAI

URL, IN_FLIGHT = sys.argv[1], int(sys.argv[2])
PROMPTS = prompts()


async def main(texts: list[str]) -> int:
    """Asks everything and returns the number of answers."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with AsyncOpenAI(base_url=URL, api_key="none", max_retries=0, timeout=120) as client:

        async def one(prompt: str) -> str | None:
            async with gate:
                reply = await client.chat.completions.create(
                    model="mock", messages=[{"role": "user", "content": prompt}], temperature=0.0
                )
                return reply.choices[0].message.content

        return len(await asyncio.gather(*(one(prompt) for prompt in texts)))


asyncio.run(main(PROMPTS[:WARM_UP]))
wall, cpu = time.perf_counter(), time.process_time()
count = asyncio.run(main(PROMPTS))
print(json.dumps({"items": count, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
