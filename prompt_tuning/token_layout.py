"""Which token ids a request becomes: the one place, for training, evaluation and serving.

A prompt is a fixed prefix (system turn, worked examples, opening of the user turn) and the rest (passages, question,
the chat template's generation prompt). The two are always tokenised apart, so that the ids are the same whether the
prefix comes from a cache or not. Passages and questions come from strangers: nothing in them becomes a control token.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from frag.errors import BadRequestError, ModelError
from frag.types import GenerationRequest, Template

DEFAULT_INSTRUCTION = "You are a helpful assistant. Use the context to answer in a few words."
"""Used when neither request nor template names one."""

_BEFORE_PASSAGES = "Context:\n"
_BETWEEN_PASSAGES = "\n\n"
_BEFORE_QUESTION = "\n\nQuestion: "
_AFTER_QUESTION = "\nAnswer:"

_PLAIN_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n\n{% endfor %}"
"""For base models, which have no chat template."""

_MIN_PASSAGE_TOKENS = 8
"""A shorter stump of a passage says nothing and is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The token ids of one request, in three runs that are tokenised apart and computed one after the other.

    `prefix_ids` depend on the instruction alone, `passage_ids` on the passages; `question_ids` are the question and
    the chat template's generation prompt.
    """

    prefix_ids: tuple[int, ...] = field(repr=False)
    passage_ids: tuple[int, ...] = field(repr=False)
    question_ids: tuple[int, ...] = field(repr=False)

    @property
    def rest_ids(self) -> tuple[int, ...]:
        """What follows the prefix."""
        return self.passage_ids + self.question_ids

    @property
    def num_tokens(self) -> int:
        return len(self.prefix_ids) + len(self.passage_ids) + len(self.question_ids)


class TokenLayout:
    """Lays out requests for one tokenizer (of transformers)."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._control = frozenset(tokenizer.all_special_ids) | frozenset(tokenizer.added_tokens_decoder)
        self._before_passages = self._plain(_BEFORE_PASSAGES)
        self._between_passages = self._plain(_BETWEEN_PASSAGES)
        self._before_question = self._plain(_BEFORE_QUESTION)
        self._after_question = self._plain(_AFTER_QUESTION)

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same request would be laid out differently: what was trained on it no longer fits."""
        probe = GenerationRequest(question="Which, 12?", passages=("A passage.", "Another."))
        prompts = [self.lay_out(probe, 1 << 20), self.lay_out(GenerationRequest(question="Why?"), 1 << 20)]
        ids = [[prompt.prefix_ids, prompt.passage_ids, prompt.question_ids] for prompt in prompts]
        return hashlib.sha256(json.dumps(ids).encode()).hexdigest()

    def lay_out(self, request: GenerationRequest, max_tokens: int, template: Template | None = None) -> Prompt:
        """The prompt of a request in at most `max_tokens`.

        The request's own instruction counts before that of the template. What does not fit is taken off the end: of
        the last passages first, of the question only when it alone is too long.

        Raises:
            BadRequestError: The instruction leaves no room for a question.
            ModelError: The tokenizer's chat template is broken, or does not show every turn.
        """
        chosen = Template(instruction=request.instruction) if request.instruction else template or Template()
        prefix, closing = self._fixed_parts(chosen)
        room = max_tokens - len(prefix) - len(closing) - len(self._after_question)
        if room < 1:
            raise BadRequestError(
                f"The instruction leaves no room for a question within {max_tokens} tokens.", "Shorten it."
            )
        question = (*self._before_question, *self._plain(request.question))[:room]
        passages = self._fit(request.passages, room - len(question))
        asked = (*question, *self._after_question, *closing)
        return Prompt(prefix_ids=prefix, passage_ids=passages, question_ids=asked)

    def completion_ids(self, text: str) -> tuple[int, ...]:
        """What the model should write for `text`: its ids and the end token."""
        return (*self._plain(text), self._tokenizer.eos_token_id)

    def _fit(self, passages: Sequence[str], room: int) -> tuple[int, ...]:
        """The best passages that fit into `room` tokens, the last of them cut off."""
        ids: list[int] = []
        for passage in passages:
            lead = self._between_passages if ids else self._before_passages
            room_left = room - len(ids) - len(lead)
            passage_ids = self._plain(passage)
            if room_left < min(_MIN_PASSAGE_TOKENS, len(passage_ids)):
                break
            ids += (*lead, *passage_ids[:room_left])
        return tuple(ids)

    def text_ids(self, text: str) -> tuple[int, ...]:
        """Ids of mere text, without control tokens."""
        return self._plain(text)

    def _fixed_parts(self, template: Template) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids before the passages, and ids after the question up to where the model writes."""
        contents = [template.instruction or DEFAULT_INSTRUCTION]
        for passage, question, answer in template.examples:
            text = f"{_BEFORE_PASSAGES}{passage}{_BEFORE_QUESTION}{question}{_AFTER_QUESTION}"
            contents += [text, answer]
        pieces = self._render(len(contents))
        prefix = list(self._trusted(pieces[0]))
        for content, piece in zip(contents, pieces[1:-1], strict=True):
            prefix += (*self._plain(content), *self._trusted(piece))
        return tuple(prefix), self._trusted(pieces[-1])

    def _render(self, num_fixed: int) -> list[str]:
        """The chat template's own text around `num_fixed` fixed contents and the question, in order."""
        marks = [f"@@{index}@@" for index in range(num_fixed + 1)]
        rendered = self._apply_template(marks)
        pieces = []
        for mark in marks:
            piece, found, rendered = rendered.partition(mark)
            if not found:
                raise ModelError("The model's chat template does not show every turn.", "Use an instruct model.")
            pieces.append(piece)
        return [*pieces, rendered]

    def _apply_template(self, contents: Sequence[str]) -> str:
        """The conversation with a system turn; where the template has none, the first user turn begins with it."""
        from jinja2 import TemplateError

        system = {"role": "system", "content": contents[0]}
        with suppress(TemplateError):
            rendered = self._rendered([system, *_turns(contents[1:])])
            if contents[0] in rendered:
                return rendered
        try:
            return self._rendered(list(_turns([f"{contents[0]}\n\n{contents[1]}", *contents[2:]])))
        except TemplateError as error:
            raise ModelError("The model's chat template cannot be used.", "Use an instruct model.") from error

    def _rendered(self, turns: Sequence[dict[str, str]]) -> str:
        template = self._tokenizer.chat_template or _PLAIN_TEMPLATE
        return str(
            self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, chat_template=template
            )
        )

    def _trusted(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _plain(self, text: str) -> tuple[int, ...]:
        """Ids of text as mere text: control tokens spelt out in it fall apart, and none is left in any case."""
        sound = text.encode("utf-8", "replace").decode()
        ids = self._tokenizer(sound, add_special_tokens=False, split_special_tokens=True).input_ids
        return tuple(index for index in ids if index not in self._control)


def _turns(contents: Iterable[str]) -> Iterable[dict[str, str]]:
    for index, content in enumerate(contents):
        yield {"role": "assistant" if index % 2 else "user", "content": content}
