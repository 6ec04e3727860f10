"""Prompt tuning by the `peft` library on the model of `transformers`, as its users write it: the yardstick."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from frag.types import GenerationRequest
from prompt_tuning.dataset import Example
from prompt_tuning.methods.settings import PromptSettings

if TYPE_CHECKING:
    from prompt_tuning.language_model import TransformersLanguageModel

_IGNORED = -100


class PeftPrompt:
    """The same token layout, number of virtual tokens, first text, optimiser and dtype as our own."""

    def __init__(
        self,
        model: "TransformersLanguageModel",
        folder: Path,
        examples: Sequence[Example],
        batch_size: int,
        learning_rate: float,
    ) -> None:
        from peft import PromptTuningConfig, PromptTuningInit, TaskType, get_peft_model
        from transformers import AutoModelForCausalLM

        settings = PromptSettings()
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True)
        config = PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=settings.num_virtual_tokens,
            prompt_tuning_init=PromptTuningInit.TEXT,
            prompt_tuning_init_text=settings.text,
            tokenizer_name_or_path=str(folder),
        )
        self._model: Any = get_peft_model(base, config)
        self._layout = model.layout
        self._limit = model.max_context_tokens
        self._batch_size = batch_size
        self._rows = [self._row(example) for example in examples]
        trained = [weight for weight in self._model.parameters() if weight.requires_grad]
        self.num_parameters = sum(weight.numel() for weight in trained)
        self._optimizer = torch.optim.AdamW(trained, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
        self._random = random.Random(0)  # noqa: S311 - a reproducible order

    def _row(self, example: Example) -> tuple[list[int], list[int]]:
        answer = self._layout.completion_ids(example.answers[0])
        request = GenerationRequest(question=example.question, passages=example.passages)
        prompt = self._layout.lay_out(request, self._limit - len(answer))
        ids = [*prompt.prefix_ids, *prompt.rest_ids]
        return [*ids, *answer], [*[_IGNORED] * len(ids), *answer]

    def step(self) -> float:
        """One optimiser step on a batch; returns its loss."""
        loss = self._loss(self._random.sample(self._rows, min(self._batch_size, len(self._rows))))
        torch.autograd.backward(loss)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.item()

    @torch.no_grad()
    def mean_loss(self, examples: Sequence[Example]) -> float:
        """Cross-entropy per answer token, in nats."""
        return self._loss([self._row(example) for example in examples]).item()

    def _loss(self, rows: Sequence[tuple[list[int], list[int]]]) -> Tensor:
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([[*[0] * (width - len(row)), *row] for row, _ in rows])
        labels = torch.tensor([[*[_IGNORED] * (width - len(row)), *row] for _, row in rows])
        mask = torch.tensor([[*[0] * (width - len(row)), *[1] * len(row)] for row, _ in rows])
        loss: Tensor = self._model(input_ids=ids, attention_mask=mask, labels=labels).loss
        return loss
