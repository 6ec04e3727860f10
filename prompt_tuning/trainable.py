"""A method on a frozen model: losses that gradients flow through, and answers for evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from frag.protocols import FloatArray, Progress
from frag.types import GenerationRequest, Place, Template
from frag.updates import Weights
from prompt_tuning.adapted_pass import Divided, Ids, divide, read
from prompt_tuning.dataset import Example, Objective
from prompt_tuning.decoding import Job
from prompt_tuning.frozen_inputs import FrozenInputs
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.methods import MethodSettings, make_method
from prompt_tuning.methods.method import Effect, Start
from prompt_tuning.token_layout import Prompt
from prompt_tuning.training_cache import TrainingCache

_LOSS_ROWS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An example as token ids at a place. `answer_ids` hold the end token; `vector` only where the method reads it."""

    divided: Divided
    answer_ids: Ids = field(repr=False)
    prompt: Prompt
    golds: tuple[str, ...] = field(repr=False)
    vector: FloatArray | None = field(default=None, repr=False)

    @property
    def num_labels(self) -> int:
        return len(self.answer_ids)


class Trainable:
    """One method on one model. Not thread-safe.

    Args:
        model: The frozen model; nothing in it changes.
        settings: Of the method.
        template: What the model is told before passages and question.
        inputs: Where keys and values of frozen runs are kept; in memory by default.
    """

    def __init__(
        self,
        model: TransformersLanguageModel,
        settings: MethodSettings,
        template: Template | None = None,
        inputs: FrozenInputs | None = None,
    ) -> None:
        self._model = model
        self._forward = model.forward
        self._template = template or Template()
        self._place: Place = settings.place
        self._text: str = getattr(settings, "text", "")
        self.method = make_method(settings)
        self._inputs = inputs or FrozenInputs(self._forward)

    def initial(self, *, seed: int, vector_width: int = 0) -> Weights:
        """The weights that training starts from, float32."""
        text_ids = self._model.layout.text_ids(self._text) or (0,)
        start = Start(forward=self._forward, text_ids=text_ids, vector_width=vector_width, seed=seed)
        return {name: tensor.detach().numpy() for name, tensor in self.method.initial(start).items()}

    def prepare(
        self,
        examples: Sequence[Example],
        objective: Objective = Objective.SUPERVISED,
        vectors: Sequence[FloatArray] | None = None,
        progress: Progress = lambda _done, _total: None,
    ) -> list[Prepared]:
        """Lays the examples out and computes what is frozen of them, so that steps and answers are cheap.

        Args:
            examples: Questions with answers, or texts, as the objective asks for.
            objective: What is learnt.
            vectors: The embedder's, one a question, where the method reads them.
            progress: Told about runs of the frozen model.
        """
        prepared = self.lay_out(examples, objective, vectors)
        self._inputs.prepare([example.divided.frozen for example in prepared], progress)
        return prepared

    def prepare_units(
        self,
        units: Sequence[Sequence[Example]],
        objective: Objective = Objective.SUPERVISED,
        vectors: Sequence[Sequence[FloatArray]] | None = None,
    ) -> list[list[Prepared]]:
        """`prepare`, keeping together what belongs to one unit; `vectors` likewise."""
        given = vectors if vectors is not None else [None] * len(units)
        prepared = [self.lay_out(unit, objective, own) for unit, own in zip(units, given, strict=True)]
        self._inputs.prepare([example.divided.frozen for unit in prepared for example in unit], lambda *_: None)
        return prepared

    def lay_out(
        self,
        examples: Sequence[Example],
        objective: Objective = Objective.SUPERVISED,
        vectors: Sequence[FloatArray] | None = None,
    ) -> list[Prepared]:
        """Token ids alone: for examples that are read once."""
        if objective is Objective.CAUSAL_LM:
            return [window for example in examples for window in self._windows(example)]
        given = vectors if vectors is not None else [None] * len(examples)
        return [self._question(example, vector) for example, vector in zip(examples, given, strict=True)]

    def _question(self, example: Example, vector: FloatArray | None) -> Prepared:
        answer_ids = self._model.layout.completion_ids(example.answers[0])[-self._model.max_context_tokens // 2 :]
        request = GenerationRequest(question=example.question, passages=example.passages)
        prompt = self._model.layout.lay_out(request, self._model.max_context_tokens - len(answer_ids), self._template)
        return Prepared(
            divided=divide(prompt, self._place, adds_tokens=self.method.adds_tokens),
            answer_ids=answer_ids,
            prompt=prompt,
            golds=example.answers,
            vector=vector if self.method.reads_vectors else None,
        )

    def _windows(self, example: Example) -> list[Prepared]:
        """Plain text has no input: the trained part stands before it. Where nothing stands there, the first token of a
        window is given."""
        ids = self._model.layout.completion_ids(example.text)
        width = self._model.max_context_tokens // 4
        windows = [ids[start : start + width] for start in range(0, len(ids), width)]
        given = 0 if self.method.adds_tokens else 1
        return [
            Prepared(
                divided=Divided(frozen=(), live=window[:given]),
                answer_ids=window[given:],
                prompt=Prompt(prefix_ids=(), passage_ids=(), question_ids=window[:given]),
                golds=(),
            )
            for window in windows
            if len(window) > given
        ]

    def effect(self, tensors: Mapping[str, Tensor], examples: Sequence[Prepared]) -> Effect:
        """What the tensors do to these examples."""
        vectors = None
        if self.method.reads_vectors:
            vectors = torch.from_numpy(np.stack([e.vector for e in examples if e.vector is not None]))
        return self.method.effect(self._forward, tensors, vectors)

    def label_logits(self, tensors: Mapping[str, Tensor], examples: Sequence[Prepared]) -> Tensor:
        """Float32 logits for each answer token of each example in order, [labels, vocabulary]."""
        effect = self.effect(tensors, examples)
        cache = TrainingCache(self._forward.cache_shape, [self._inputs.get(e.divided.frozen) for e in examples])
        seen = read(
            effect,
            cache,
            [e.divided.num_frozen for e in examples],
            [e.divided.live for e in examples],
            [e.answer_ids[:-1] for e in examples],
        )
        width = seen.hidden.shape[1]
        predicts = torch.tensor([[column < e.num_labels for column in range(width)] for e in examples])
        return effect.forward.logits(seen.hidden[predicts])

    def summed_loss(self, tensors: Mapping[str, Tensor], examples: Sequence[Prepared]) -> Tensor:
        """Cross-entropy summed over the answer tokens, in nats."""
        labels = torch.tensor([index for example in examples for index in example.answer_ids])
        return functional.cross_entropy(self.label_logits(tensors, examples), labels, reduction="sum")

    @torch.no_grad()
    def mean_loss(self, tensors: Mapping[str, Tensor], examples: Sequence[Prepared]) -> float:
        """Cross-entropy per answer token, in nats."""
        parts = [examples[start : start + _LOSS_ROWS] for start in range(0, len(examples), _LOSS_ROWS)]
        total = sum(self.summed_loss(tensors, part).item() for part in parts)
        return total / sum(example.num_labels for example in examples)

    def loss_of(self, weights: Weights, examples: Sequence[Prepared]) -> float:
        """`mean_loss` of weights as they travel."""
        return self.mean_loss(_tensors(weights), examples)

    @torch.inference_mode()
    def answers(
        self,
        weights: Weights | None,
        examples: Sequence[Prepared],
        *,
        max_new_tokens: int = 24,
        batch_size: int = 16,
        progress: Progress = lambda _done, _total: None,
    ) -> list[str]:
        """What the model writes for prepared questions by greedy decoding, as it would when serving.

        `weights` None is the frozen model as it is. Examples are answered in order of length, which changes nothing
        but the padding.
        """
        tensors = _tensors(weights or {})
        order = sorted(range(len(examples)), key=lambda index: -examples[index].prompt.num_tokens)
        texts = [""] * len(examples)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = [examples[row] for row in rows]
            jobs = [Job(prompt=e.prompt, min_new_tokens=0, max_new_tokens=max_new_tokens) for e in batch]
            effect = None if weights is None else self.effect(tensors, batch)
            frozen = None if weights is None else [self._inputs.get(e.divided.frozen) for e in batch]
            for row, text in zip(rows, self._model.decode(jobs, effect=effect, frozen=frozen), strict=True):
                texts[row] = text
            progress(start + len(rows), len(order))
        return texts


def _tensors(weights: Weights) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()}
