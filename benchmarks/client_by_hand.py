"""The ideal client: aiohttp by hand, nothing kept: `python -m benchmarks.client_by_hand ROOT URL IN_FLIGHT`."""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path

import aiohttp

from benchmarks.clients import report


async def by_hand(root: Path, url: str, flying: int) -> None:
    records = json.loads((root / "mis" / "mis_easy.json").read_text())
    waiting, scored = iter(records), 0
    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=flying)) as session:

        async def call(parts: list[bytes], text: str) -> str:
            body = b"".join(
                [
                    b'{"model":"bench","temperature":0,"max_tokens":1024,"messages":[{"role":"user","content":[',
                    *(b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + p + b'"}},' for p in parts),
                    json.dumps({"type": "text", "text": text}).encode(),
                    b"]}]}",
                ]
            )
            headers = {"content-type": "application/json"}
            async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
                return (await response.json())["choices"][0]["message"]["content"]

        async def worker() -> None:
            nonlocal scored
            for record in waiting:
                files = [root / "mis" / record[f"image_path{n}"] for n in (1, 2)]
                parts = [base64.b64encode(file.read_bytes()) for file in files]
                answer = await call(parts, record["question"])
                json.loads(await call(parts, f"{record['question']}\n{answer}"))
                scored += 1

        await asyncio.gather(*(worker() for _ in range(flying)))
    report(time.perf_counter() - started, start=0.0, scored=scored)


if __name__ == "__main__":
    asyncio.run(by_hand(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
