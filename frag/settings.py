"""Settings of node and coordinator: TOML files, overridden by environment variables, checked as a whole.

A file is read once at start; nothing re-reads it behind the operator's back. Unknown keys are errors, so that a
misspelt policy line never passes as "allowed".
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import TomlConfigSettingsSource

from frag.errors import SettingsError
from frag.feedback_settings import FeedbackSettings
from frag.listening import LOOPBACK_HOSTS, LocalSettings, TlsSettings
from frag.policy_settings import CollectionSettings, PolicySettings, SharedDocumentsError, check_apart
from frag.telemetry_settings import CoordinatorTelemetrySettings, NodeTelemetrySettings
from frag.training_settings import NodeTrainingSettings
from frag.types import AnswerMode

NodeId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
"""PRIVACY §5: lower-case letters, digits and hyphens, at most 64."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


NO_LANGUAGE_MODEL = "none"
"""A node with this `language_model` serves retrieval-only questions and withholds the others."""


class ModelSettings(_Strict):
    """Which models answer. Each is a built-in name, a local folder or a Hugging Face id."""

    language_model: str = Field("smollm2-135m-instruct", description="writes the answers; `none` for retrieval only")
    embedder: str = Field("all-minilm-l6-v2", description="turns questions and passages into vectors")
    ner: str = Field("en-core-web-sm", description="finds persons for redaction")
    threads: int = Field(2, ge=1, le=256, description="CPU threads of language model and embedder")
    training_threads: int = Field(1, ge=1, le=256, description="CPU threads of the training process")
    max_batch: int = Field(16, ge=1, le=256, description="questions generated together at most")
    gather_ms: float = Field(4.0, ge=0, le=1000, description="how long a batch waits for company")
    max_new_tokens: int = Field(48, ge=1, le=1024, description="length limit of an answer in model tokens")
    reembed_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="of its time that a change of embedder takes in a running node; it rests the others",
    )
    context_passages: int = Field(1, ge=1, le=50, description="passages put before the model; a small one wants few")


class RosterSettings(_Strict):
    """The signed list of nodes that this node believes about its peers, instead of the coordinator."""

    file: Path = Field(description="roster.json; relative to the settings file")
    operators: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        min_length=1, description="public keys of all who must have signed it, got by another way"
    )


class RoutingSettings(_Strict):
    """The topic profile that `route = "top:m"` is decided by: noised counts over 64 public topics."""

    publish: bool = Field(default=True, description="whether this node publishes one")
    noise_sd: float = Field(4.0, ge=0.2, le=10_000, description="σ; a publication costs each unit ρ = 1 / (2σ²)")
    every_h: float = Field(24.0, ge=1, le=8760, description="hours of an epoch; one publication in each")
    dp_rho: float = Field(
        0.0,
        ge=0,
        le=100,
        description="ρ that a unit of a collection in mode dp alone may have spent after it; 0 leaves it out",
    )


class IndexSettings(_Strict):
    """Where the vectors of large collections lie. The database beside them stays the truth."""

    qdrant_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/]+)?$",
        description="this operator's Qdrant server that holds them (its key: FRAG_QDRANT_API_KEY); empty: own files",
    )


class DriftSettings(_Strict):
    """Watching open questions and documents for change. What is told is a number and a flag, never of mode dp."""

    tell: bool = Field(default=True, description="whether the coordinator is told, which may start a standing job")
    window: int = Field(50, ge=20, le=10_000, description="questions, or new documents, that are judged together")
    level: float = Field(0.01, gt=0, le=0.2, description="chance of a false alarm in one window")


QuestionScrub = Literal["full", "patterns", "off"]


class QuestionSettings(_Strict):
    """What is masked in questions before nodes see them."""

    scrub: QuestionScrub = Field(
        "patterns",
        description="patterns: identifiers of fixed form, and names introduced as private; full: every name too; off",
    )


class _FromToml(BaseSettings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file: containers override one value without a file of their own."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


class NodeSettings(_FromToml):
    """`node.toml`: the node operator's policy."""

    model_config = SettingsConfigDict(env_prefix="FRAG_NODE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    node_id: NodeId = Field(description="name under which it was enrolled")
    coordinator_url: str = Field(pattern=r"^https?://[^\s/]+$", description="scheme, host and port")
    tls_ca: Path | None = Field(None, description="PEM file that signs the coordinator's certificate")
    models: ModelSettings = ModelSettings()
    policy: PolicySettings = PolicySettings()
    roster: RosterSettings | None = None
    routing: RoutingSettings = RoutingSettings()
    index: IndexSettings = IndexSettings()
    local: LocalSettings = LocalSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    training: NodeTrainingSettings = NodeTrainingSettings()
    drift: DriftSettings = DriftSettings()
    telemetry: NodeTelemetrySettings = NodeTelemetrySettings()
    collections: tuple[CollectionSettings, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "NodeSettings":
        names = [collection.name for collection in self.collections]
        if len(set(names)) != len(names):
            raise ValueError(f"two collections share a name: {sorted(names)}")
        for collection in self.collections:
            modes = collection.modes_under(self.policy)
            if AnswerMode.DP in modes and len(modes) > 1:
                raise ValueError(
                    f"the collection {collection.name} would answer in {', '.join(modes)}: what a weaker mode lets out "
                    'voids the claim of dp; give it answer_modes = ["dp"], or leave dp out'
                )
            if collection.answer_modes and not modes:
                raise ValueError(
                    f"the collection {collection.name} would answer in no mode: "
                    f"{', '.join(collection.answer_modes)} is not in answer_modes of [policy]; add it there"
                )
        check_apart(self.collections, self.policy)
        self._check_personal()
        return self

    def _check_personal(self) -> None:
        if not self.training.personal:
            return
        if self.policy.training_privacy == "record" or any(
            AnswerMode.DP in collection.modes_under(self.policy) for collection in self.collections
        ):
            raise ValueError(
                "training.personal trains on examples without a bound on what answers tell of them, which voids the "
                'claims of dp and of training_privacy = "record"; leave it out there'
            )


class CoordinatorSettings(_FromToml):
    """`coordinator.toml`."""

    model_config = SettingsConfigDict(
        env_prefix="FRAG_COORDINATOR_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    host: str = Field("127.0.0.1", description="address to bind; other than loopback needs [tls]")
    port: int = Field(8470, ge=0, le=65535, description="port to bind; 0: any that is free")
    database_url: str = Field("", description="SQLAlchemy async URL; empty: SQLite in the state folder")
    tls: TlsSettings | None = None
    default_aggregation: Literal["best", "vote", "medoid", "synthesize"] = Field(
        "best", description="how answers are merged where the asker does not say"
    )
    default_deadline_s: float = Field(30.0, gt=0, le=600, description="where the asker does not say")
    answer_modes: tuple[AnswerMode, ...] = Field(
        tuple(AnswerMode), min_length=1, description="modes that askers may choose; nodes narrow them further"
    )
    queries_per_minute: int = Field(6000, ge=1, description="per API key")
    heartbeat_s: float = Field(15.0, gt=0, le=300, description="silence after which a node is pinged")
    public_corpus: Path | None = Field(None, description="folder of public documents, answers as `public`")
    questions: QuestionSettings = QuestionSettings()
    telemetry: CoordinatorTelemetrySettings = CoordinatorTelemetrySettings()
    models: ModelSettings = ModelSettings()

    @model_validator(mode="after")
    def _check(self) -> "CoordinatorSettings":
        if self.host not in LOOPBACK_HOSTS and self.tls is None:
            raise ValueError(f"host {self.host} is not loopback and needs [tls] with certificate and private_key")
        return self


_Settings = TypeVar("_Settings", NodeSettings, CoordinatorSettings)


def load_settings(kind: type[_Settings], path: Path) -> _Settings:
    """Reads `path` (TOML) with the environment on top; relative paths inside are made absolute from its folder.

    Raises:
        SettingsError: The file is missing, is not TOML, or a value does not fit; names every wrong place.
    """
    if not path.is_file():
        role = "node enroll" if kind is NodeSettings else "coordinator init"
        raise SettingsError(f"There is no settings file {path}.", f"Make one with `frag {role}`.")
    bound = type(kind.__name__, (kind,), {"model_config": kind.model_config | {"toml_file": path}})
    try:
        settings: _Settings = _absolute(bound(), path.parent)
        if isinstance(settings, NodeSettings):
            check_apart(settings.collections, settings.policy)  # again, where links lead
    except SharedDocumentsError as error:
        raise SettingsError(f"{path}: {error}.", "Change it there.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.", "Mend the line that it names.") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {_places(error)}.", "Mend these values.") from error
    else:
        return settings


def _absolute(settings: _Settings, base: Path) -> _Settings:
    changes: dict[str, Any] = {}
    for name in ("tls_ca", "public_corpus"):
        if (value := getattr(settings, name, None)) is not None:
            changes[name] = base / value
    if isinstance(settings, NodeSettings):
        if settings.roster is not None:
            changes["roster"] = settings.roster.model_copy(update={"file": base / settings.roster.file})
        if settings.local.tls is not None:
            changes["local"] = settings.local.model_copy(update={"tls": _absolute_tls(settings.local.tls, base)})
        changes["collections"] = tuple(
            collection.model_copy(update={"folder": base / collection.folder}) for collection in settings.collections
        )
    elif settings.tls is not None:
        changes["tls"] = _absolute_tls(settings.tls, base)
    return settings.model_copy(update=changes)


def _absolute_tls(tls: TlsSettings, base: Path) -> TlsSettings:
    return tls.model_copy(update={key: base / getattr(tls, key) for key in ("certificate", "private_key")})


def _places(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors())
