"""What a node's own API acknowledged survives `kill -9`, at any moment."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

KEYS = "The porter keeps the brass keys behind the oak door."
ROOT = Path(__file__).resolve().parents[4]
Told = tuple[str, dict[str, str]]


def start(folder: Path) -> tuple[subprocess.Popen[str], Told]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.node.local.node_process", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    words: list[str] = []
    while len(words) != 2:  # its log comes the same way
        words = process.stdout.readline().split()
    return process, (words[0], {"Authorization": f"Bearer {words[1]}"})


async def change(told: Told, cycle: int, there: set[str], gone: set[str]) -> None:
    """Adds and deletes until the node is gone; a name stands in neither set while its fate is open."""
    url, headers = told
    async with aiohttp.ClientSession(url, headers=headers) as session:
        for number in range(10_000):
            name = f"{cycle}-{number}.txt"
            async with session.put(f"/documents/notes/{name}", data=f"{KEYS} {name}") as answer:
                assert answer.status == 201
            there.add(name)
            if number % 2:
                victim = f"{cycle}-{number - 1}.txt"
                there.discard(victim)
                async with session.delete(f"/documents/notes/{victim}") as answer:
                    assert answer.status == 200
                gone.add(victim)


async def documents(told: Told) -> set[str]:
    async with (
        aiohttp.ClientSession(told[0], headers=told[1]) as session,
        session.get("/documents?limit=1000") as answer,
    ):
        return {document["document_id"] for document in (await answer.json())["documents"]}


@pytest.mark.parametrize("seed", [1])
async def test_kills_at_any_moment_lose_nothing_and_bring_nothing_back(tmp_path: Path, seed: int) -> None:
    there: set[str] = set()
    gone: set[str] = set()
    moments = random.Random(seed)
    for cycle in range(3):
        process, told = await asyncio.to_thread(start, tmp_path)
        found = await documents(told)
        assert there <= found
        assert not gone & found
        changing = asyncio.create_task(change(told, cycle, there, gone))
        await asyncio.sleep(moments.uniform(0.2, 0.7))
        process.kill()
        with pytest.raises(aiohttp.ClientError):
            await changing
        process.wait()
        if process.stdout:
            process.stdout.close()
    assert there
    assert gone
