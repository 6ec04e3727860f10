"""`[policy]` and `[[collections]]` of `node.toml`: what may leave a node, and of which documents."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from frag.types import AnswerMode

DEFAULT_ENTITY_TYPES = (
    "PERSON",
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "STREET_ADDRESS",
    "CREDIT_CARD",
    "US_SSN",
    "NATIONAL_ID",
    "IBAN_CODE",
    "IP_ADDRESS",
    "CRYPTO",
    "MEDICAL_LICENSE",
    "US_PASSPORT",
    "US_ITIN",
)
"""Direct identifiers and persons; not dates, nations, places or organisations (PRIVACY §2)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


AggregationMode = Literal["plain", "robust", "secagg"]


class DpSettings(_Strict):
    """`[policy.dp]`: what one unit may be found out about, over all answers ever. All of it is public.

    The clip C follows from these: `frag privacy decoding` prints it.
    """

    epsilon: float = Field(8.0, gt=0, le=1000, description="budget of a unit for its whole life")
    delta: float = Field(1e-5, gt=0, lt=0.01, description="δ that goes with epsilon")
    questions: int = Field(10, ge=1, le=100_000, description="answers that the budget of a unit is for")
    references: int = Field(8, ge=1, le=10_000, description="S: what votes are divided by, however many there are")
    tokens: int = Field(32, ge=1, le=512, description="T: length of an answer in model tokens")
    temperature: float = Field(1.1, gt=0, le=10, description="τ of the draw of each token")
    top_k: int = Field(100, ge=1, description="tokens that are drawn from, chosen by public values")
    passage_tokens: int = Field(192, ge=16, le=1024, description="of a unit's passage, what is read")
    min_evidence: float = Field(0.35, ge=-1, le=1, description="cosine from which a unit takes part")
    keywords: bool = Field(default=False, description="whether units also vote for keywords, at the price of an answer")
    colluders: int = Field(1, ge=0, le=97, description="keywords: nodes that may work with the coordinator")


class PolicySettings(_Strict):
    """What may leave this node. The node decides; the asker and the coordinator can only ask for less."""

    answer_modes: tuple[AnswerMode, ...] = Field((AnswerMode.SCRUB,), description="modes that are answered")
    entity_types: tuple[str, ...] = Field(DEFAULT_ENTITY_TYPES, description="personal data that is redacted")
    names: Literal["thorough", "model"] = Field(
        "thorough",
        description="search for names: with lexicon and rules, or by the model alone, for texts about the world",
    )
    verbatim_limit_tokens: int = Field(16, ge=3, le=1000, description="shortest copied word run that is cut")
    min_evidence: float = Field(0.35, ge=-1, le=1, description="cosine below which the node abstains")
    document_orders: Literal["drop", "keep"] = Field(
        "drop", description="sentences in documents that give the language model orders; drop: it does not see them"
    )
    questions_per_minute: int = Field(600, ge=1, description="questions answered per minute at most")
    training: bool = Field(default=True, description="whether jobs may train on this node's data sets")
    aggregation: tuple[AggregationMode, ...] = Field(
        ("plain", "robust", "secagg"), min_length=1, description="ways in which updates may be put together"
    )
    dp: DpSettings = DpSettings()
    askers: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        (), description="public keys (`frag asker`) whose sealed questions are answered; empty: everyone's"
    )
    training_privacy: Literal["any", "record"] = Field("any", description="record: only jobs that protect each unit")
    training_epsilon: float = Field(
        8.0, gt=0, le=1000, description="ε that all private jobs on a data set may cost together"
    )
    cite: Literal["alias", "none"] = Field("alias", description="whether pseudonyms of sources leave the node")


class CollectionSettings(_Strict):
    """A folder of documents with its own index. Its modes narrow those of the policy."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="of the collection and its index")
    folder: Path = Field(description="where the documents are; relative to the settings file")
    answer_modes: tuple[AnswerMode, ...] | None = Field(None, description="None: as the policy says")
    unit: str = Field(
        "",
        max_length=200,
        description="mode dp: pattern whose first group, found in a document's id, names the person; "
        "empty: each document stands for itself",
    )
    watch: bool = Field(default=False, description="whether the running node follows changes in the folder by itself")

    @model_validator(mode="after")
    def _check(self) -> "CollectionSettings":
        try:
            num_groups = re.compile(self.unit).groups
        except re.error as error:
            raise ValueError(f"unit is no pattern: {error}") from error
        if self.unit and num_groups < 1:
            raise ValueError("unit needs a group in parentheses that names the person")
        return self

    def modes_under(self, policy: PolicySettings) -> tuple[AnswerMode, ...]:
        """Modes that it answers in: it can narrow the policy, never widen it."""
        wanted = policy.answer_modes if self.answer_modes is None else self.answer_modes
        return tuple(mode for mode in wanted if mode in policy.answer_modes)


class SharedDocumentsError(ValueError):
    """Documents under dp lie in another collection as well."""


def check_apart(collections: Sequence[CollectionSettings], policy: PolicySettings) -> None:
    """Raises SharedDocumentsError when documents under dp could be reached through another collection as well."""
    private = [item for item in collections if AnswerMode.DP in item.modes_under(policy)]
    for one in private:
        for other in collections:
            first, second = one.folder.resolve(), other.folder.resolve()
            if other is not one and (first.is_relative_to(second) or second.is_relative_to(first)):
                raise SharedDocumentsError(
                    f"the collections {one.name} (mode dp) and {other.name} share documents: what the other lets out, "
                    "or charges a second time, voids the claim of dp; give them folders apart from each other"
                )
