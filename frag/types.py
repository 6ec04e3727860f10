"""The nouns of frag (DESIGN terms): what is ingested, found, generated, released and answered.

All are frozen; `repr` shows sizes, never text, so that no log line can carry a document.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

_NOTHING: Mapping[str, int] = MappingProxyType({})


class AnswerMode(StrEnum):
    """What happens to a generated text before it leaves its node, weakest protection first."""

    NONE = "none"
    SCRUB = "scrub"
    CONSENSUS = "consensus"
    DP = "dp"


class RetrievalMode(StrEnum):
    """How passages are looked up inside a node."""

    DENSE = "dense"
    HYBRID = "hybrid"


class Place(StrEnum):
    """Where a trained part begins to act: before the whole input, or after it, at the answer.

    After it, keys and values of the input are those of the frozen model, whatever was trained.
    """

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What the model is told before passages and question. Empty fields mean the layout's own default."""

    instruction: str = ""
    examples: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
    """(passage, question, answer) turns that show the form of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What was trained and goes live: named tensors, what they mean, and what they fit.

    `base_model`, `layout` and `embedder` are fingerprints; a mismatch means that the tensors would be noise here.
    `embedder` is empty where no question vector is read. `version` names the registry entry, empty before there is one.
    `epsilon` and `delta` bound what it tells of one unit of its training examples: 0 where none were private,
    infinite where nothing is claimed.
    """

    method: str
    settings: Mapping[str, Any]
    place: Place
    tensors: Mapping[str, npt.NDArray[np.float32]] = field(repr=False)
    template: Template = Template()
    base_model: str
    layout: str
    embedder: str = ""
    version: str = ""
    epsilon: float = math.inf
    delta: float = 0.0

    @property
    def num_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One source document. `document_id` is stable over edits; `text` is its whole plain text."""

    document_id: str
    text: str = field(repr=False)
    title: str = field(default="", repr=False)
    num_chars: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_chars", len(self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """`document.text[start_char:end_char]`, the unit that is embedded and indexed."""

    document_id: str
    start_char: int
    end_char: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk found for a question.

    `score` is the cosine of question and chunk in [-1, 1], comparable between nodes that share an embedder;
    `rank_score` orders the hits inside one node (cosine, or the fused reciprocal rank) and means nothing outside it.
    """

    chunk_id: int
    document_id: str
    start_char: int
    end_char: int
    text: str = field(repr=False)
    score: float
    rank_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One prompt for a language model: a question with the passages that may answer it.

    `passages` may be empty. `instruction` is the fixed part, prefilled once per distinct value.
    `min_new_tokens` forces a length (benchmarks); 0 lets the model stop. `question_vector` is the embedder's, for
    prompts that are generated from the question.
    """

    question: str = field(repr=False)
    passages: tuple[str, ...] = field(default=(), repr=False)
    instruction: str = field(default="", repr=False)
    max_new_tokens: int = 64
    min_new_tokens: int = 0
    question_vector: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a language model wrote. `token_logprob` is the mean natural log-probability per new token (≤ 0)."""

    text: str = field(repr=False)
    token_logprob: float
    num_prompt_tokens: int
    num_new_tokens: int
    prompt_version: str = ""
    """Version of the adaptation that it was written with; empty for the model as it is."""
    prefill_s: float = field(default=0.0, compare=False)
    """Seconds that its batch spent reading prompts; 0 where the model does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A pseudonym of a source document at its node, with the cosine of its best chunk. No content."""

    document_alias: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How an embedder's cosines are read on the scale that all embedders share: slope · cosine + offset, slope > 0."""

    slope: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAnswer:
    """What one node lets out for one question: a released text, or `withheld` with the reason.

    Exactly one of `text` (non-empty) and `withheld` is set, except for a retrieval-only reply, which has neither.
    `score` in [0, 1] is the calibrated confidence that aggregation compares across nodes. `epsilon` and `delta` bound
    what one unit may tell through all answers of this node together; infinite where nothing is claimed.
    `embedder` is the fingerprint of what the scores were made with, and `scale` what makes them comparable with those
    of others; both are empty where no score follows a document.
    """

    node_id: str
    mode: AnswerMode
    text: str = field(default="", repr=False)
    withheld: str = ""
    score: float = 0.0
    token_logprob: float = 0.0
    prompt_version: str = ""
    redactions: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    citations: tuple[Citation, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    epsilon: float = math.inf
    delta: float = 0.0
    embedder: str = ""
    scale: Scale | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """The merged text, the nodes whose answers it rests on, and the method that made it."""

    text: str = field(repr=False)
    contributors: tuple[str, ...]
    method: str
