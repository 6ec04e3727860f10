"""The default language model: any causal model of transformers in a local folder, on the CPU."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frag.errors import BadRequestError, ModelError
from frag.models import BUILT_IN
from frag.protocols import TextListener
from frag.types import Adaptation, Generation, GenerationRequest, Template
from prompt_tuning.token_layout import TokenLayout

if TYPE_CHECKING:
    from frag.privacy.dp_decoding import DecodingRule
    from prompt_tuning.decoding import Job, Written
    from prompt_tuning.kv_cache import KeyValues
    from prompt_tuning.methods.method import Effect

Dtype = Literal["float32", "bfloat16"]


class TransformersLanguageModel:
    """Implements `frag.protocols.LanguageModel` by batched greedy decoding. Not thread-safe: one worker owns it.

    Args:
        folder: Config, safetensors and tokenizer, as `frag.models.locate` gives it.
        name: What answers call the model; the folder's name when empty.
        threads: CPU threads of torch, for the whole process.
        dtype: Of weights and cache. bfloat16 is faster; float32 makes batched and single runs equal to rounding.
        max_context_tokens: Limit of prompt and answer together, in tokens; the model's own limit if that is lower.

    Raises:
        ModelError: The folder is missing or corrupt, or of an architecture that would be computed wrongly.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "",
        threads: int = 2,
        dtype: Dtype = "bfloat16",
        max_context_tokens: int = 2048,
    ) -> None:
        import torch

        from prompt_tuning.adapted import AdaptedEffects
        from prompt_tuning.decoding import GreedyDecoder
        from prompt_tuning.forward import make_forward

        torch.set_num_threads(threads)
        self._name = name or folder.name
        self._model, self._tokenizer = _load(folder, dtype)
        self._max_context_tokens = min(max_context_tokens, _own_limit(self._model.config))
        self.layout = _checked_layout(self._tokenizer, folder)
        self.forward = make_forward(self._model)
        self.fingerprint = _fingerprint(folder)
        self._effects = AdaptedEffects(self.forward, self.fingerprint, self.layout.fingerprint)
        self._end_ids = _end_ids(self._model, self._tokenizer)
        self._decoder = GreedyDecoder(self.forward, self._end_ids)

    @property
    def name(self) -> str:
        return self._name

    @property
    def max_context_tokens(self) -> int:
        """Limit of prompt and answer together, in tokens."""
        return self._max_context_tokens

    def warm_up(self) -> None:
        """Runs once with the default instruction: its prefix is cached and the first question meets a warm model."""
        self.generate([GenerationRequest(question="Ready?", max_new_tokens=2)])

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        """Answers a batch in one go; order is kept. `num_new_tokens` and `token_logprob` count the end token.

        The whole batch is answered with `adaptation`; requests with an instruction of their own are not for it.

        Raises:
            BadRequestError: A length does not fit the model, or a vector is missing that the adaptation reads.
        """
        if not requests:
            return []
        template = adaptation.template if adaptation else None
        jobs = [self._job(request, template) for request in requests]
        effect = self._effects.effect(adaptation, requests) if adaptation else None
        written = self._decoder.decode(
            jobs, is_cancelled, effect, on_ids=self._telling(listeners) if listeners else None
        )
        version = adaptation.version if adaptation else ""
        return [self._generation(job, row, version) for job, row in zip(jobs, written, strict=True)]

    def _telling(self, listeners: Mapping[int, TextListener]) -> Callable[[int, Sequence[int]], None]:
        def tell(row: int, ids: Sequence[int]) -> None:
            if listener := listeners.get(row):
                # a character of several tokens is not whole before its last one
                listener(self._text(ids).rstrip("\ufffd"))

        return tell

    def decode(
        self,
        jobs: "Sequence[Job]",
        effect: "Effect | None" = None,
        frozen: "Sequence[Sequence[KeyValues]] | None" = None,
    ) -> list[str]:
        """Texts for prompts that are laid out already, under a trained effect; for evaluation while training."""
        return [self._text(row.ids) for row in self._decoder.decode(jobs, effect=effect, frozen=frozen)]

    def write_privately(
        self,
        request: GenerationRequest,
        references: Sequence[str],
        rule: "DecodingRule",
        is_cancelled: Callable[[], bool] = lambda: False,
        adaptation: Adaptation | None = None,
    ) -> str:
        """An answer that says little about any one reference; see `private_decoding`. May be empty.

        Args:
            request: The question, without passages; its `max_new_tokens` is not looked at.
            references: One passage of each unit, in any order; none gives what the model says by itself.
            rule: Fixed and public.
            is_cancelled: Asked between two tokens.
            adaptation: One that is public, or was trained with a bound that the caller adds to the claim.
        """
        from prompt_tuning.private_decoding import PrivateDecoder

        template = adaptation.template if adaptation else None
        alone = replace(request, passages=())
        public = self.layout.lay_out(alone, self._max_context_tokens - rule.num_tokens - rule.passage_tokens, template)
        room = public.num_tokens + rule.passage_tokens
        prompts = [self.layout.lay_out(replace(alone, passages=(text,)), room, template) for text in references]
        effect = self._effects.effect(adaptation, [alone]) if adaptation else None
        decoder = PrivateDecoder(self.forward, self._decoder, self._end_ids, rule)
        return self._text(decoder.decode(public, prompts, effect, is_cancelled))

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def check(self, adaptation: Adaptation) -> None:
        """Raises ModelError when the adaptation does not fit this model."""
        self._effects.check(adaptation)

    def _job(self, request: GenerationRequest, template: Template | None) -> "Job":
        from prompt_tuning.decoding import Job

        if not 1 <= request.max_new_tokens < self._max_context_tokens:
            raise BadRequestError(
                f"max_new_tokens is {request.max_new_tokens}, not in [1, {self._max_context_tokens - 1}].",
                "Ask for fewer tokens.",
            )
        return Job(
            prompt=self.layout.lay_out(request, self._max_context_tokens - request.max_new_tokens, template),
            min_new_tokens=request.min_new_tokens,
            max_new_tokens=request.max_new_tokens,
        )

    def _generation(self, job: "Job", written: "Written", version: str) -> Generation:
        return Generation(
            text=self._text(written.ids),
            token_logprob=written.mean_logprob,
            num_prompt_tokens=job.prompt.num_tokens,
            num_new_tokens=len(written.ids),
            prompt_version=version,
            prefill_s=written.prefill_s,
        )


def _load(folder: Path, dtype: Dtype) -> tuple[Any, Any]:
    """Model and tokenizer, from safetensors and without code from the folder."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not folder.is_dir():
        raise ModelError(f"There is no model folder {folder}.", _pull_command(folder))
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"The language model in {folder} cannot be loaded ({type(error).__name__}).", _pull_command(folder)
        ) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise ModelError(f"Weights are missing in {folder}.", _pull_command(folder))
    if tokenizer.eos_token_id is None:
        raise ModelError(f"The tokenizer in {folder} names no end token.", _pull_command(folder))
    return model.eval().requires_grad_(requires_grad=False), tokenizer


def _fingerprint(folder: Path) -> str:
    """SHA-256 over configuration and weights: what was trained on one base model is noise on another."""
    digest = hashlib.sha256()
    for path in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _pull_command(folder: Path) -> str:
    name = folder.name if folder.name in BUILT_IN else "NAME"
    return f"Fetch it again with `frag models pull {name}`."


def _checked_layout(tokenizer: Any, folder: Path) -> TokenLayout:
    """A layout that was tried once, so that a broken chat template is found before the first question."""
    layout = TokenLayout(tokenizer)
    try:
        layout.lay_out(GenerationRequest(question="?"), 1 << 20)
    except ModelError as error:
        raise ModelError(f"{folder}: {error.what}", _pull_command(folder)) from error
    return layout


def _own_limit(config: Any) -> int:
    """Tokens that the model can attend to; a sliding window counts, since the mask of decoding has none."""
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window"))
    return min((limit for limit in limits if limit), default=1 << 20)


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    named = model.generation_config.eos_token_id
    ids = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    return sorted({index for index in ids if index is not None})
