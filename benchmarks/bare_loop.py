"""The loop people write by hand, to measure against: asyncio, aiohttp, a semaphore, one JSONL of replies.

    python benchmarks/bare_loop.py REQUESTS.jsonl OUT.jsonl URL CONCURRENCY

No journal, no budget, no retries, no checks: what any tool adds to this is its price.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp
import orjson


async def main(requests: Path, out: Path, url: str, concurrency: int) -> None:
    slots = asyncio.Semaphore(concurrency)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        with out.open("wb") as file:

            async def ask(request: dict[str, object]) -> None:
                async with slots, session.post(f"{url}/chat/completions", data=orjson.dumps(request)) as response:
                    reply = orjson.loads(await response.read())
                answer = orjson.loads(reply["choices"][0]["message"]["content"])
                file.write(orjson.dumps({"request": request["messages"], "answer": answer}) + b"\n")

            with requests.open("rb") as lines:
                await asyncio.gather(*(ask(orjson.loads(line)) for line in lines))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
