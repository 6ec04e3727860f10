"""A sentence that passed the guard reaches OpenAI's clients while the rest is written; what fails never does."""

import asyncio
from pathlib import Path

import pytest

from frag.answers import Synthesize
from frag.protocols import TextListener
from frag.types import Generation, GenerationRequest
from tests.server.coordinator.openai.test_clients import client_of
from tests.server.in_process import in_process, says

FIRST = "The Hillside clinic offers Zanoril."
DOSE = "The dose is 40 mg twice a day."
STORY = "Its founder sailed around Antarctica on a purple wooden barrel."
QUESTION = "Which clinic offers Zanoril and what is the dose of Zanoril?"


class Writer:
    """Writes the first sentence and one word more, and the rest when `go_on` is set."""

    def __init__(self, rest: str) -> None:
        self.text = f"{FIRST} {rest}"
        self.go_on = asyncio.Event()

    async def write(self, _request: GenerationRequest) -> Generation:
        return Generation(text=self.text, token_logprob=-0.1, num_prompt_tokens=1, num_new_tokens=1)

    async def aloud(self, request: GenerationRequest, listener: TextListener, /) -> Generation:
        listener(self.text[: len(FIRST) + 4])
        await self.go_on.wait()
        listener(self.text)
        return await self.write(request)


@pytest.mark.parametrize("rest", [DOSE, STORY], ids=["good", "invented"])
async def test_the_first_sentence_comes_before_the_second_is_written(tmp_path: Path, rest: str) -> None:
    writer = Writer(rest)
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        await federation.join("north", says(FIRST, 0.8))
        await federation.join("south", says(DOSE, 0.7))
        method = Synthesize(writer.write, write_aloud=writer.aloud)
        federation.synthesize_by(method)
        stream = await client.chat.completions.create(
            model="frag:synthesize", messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        pieces: list[str] = []
        async with asyncio.timeout(10):
            async for chunk in stream:
                if piece := chunk.choices[0].delta.content:
                    pieces.append(piece)
                    writer.go_on.set()
    assert pieces == [FIRST, f" {DOSE}"], "had the first sentence waited for the second, this test would hang"
