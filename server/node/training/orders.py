"""What node and training process say to each other: one JSON line each, large things as files."""

import msgspec

from prompt_tuning.dataset import Example


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="round"):
    """One round. Paths are absolute; `update` is written only when `train` is set.

    `key` in hex decides the draws of a private round, and `num_units` is the N of its plan.
    """

    job_folder: str
    node_id: str
    round_num: int
    base_model: str
    weights: str
    update: str
    evaluate: bool
    train: bool
    key: str = ""
    num_units: int = 0


class PersonalOrder(msgspec.Struct, frozen=True, kw_only=True, tag="personal"):
    """A personal version of a promoted one. Paths are absolute; `shared` is its file, `personal` where the result goes.

    `job_folder` holds examples and settings, as for a round.
    """

    job_folder: str
    shared: str
    personal: str


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    step: int
    num_steps: int
    loss: float


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    num_examples: int
    metrics: dict[str, float]


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """`code` is that of a FragError; `what` goes to the node's own log."""

    code: str
    what: str


Said = Step | Done | Failure


class JobExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Examples of a job as they are trained on, with the question vectors where the method reads them.

    `validation` decides when training stops early; `held_out` is what is reported. `snapshot` names the state of the
    index that passages were taken from. `old_ids` names what an earlier run of a standing job has met.
    """

    train: list["StoredExample"]
    held_out: list["StoredExample"]
    snapshot: str
    validation: list["StoredExample"] = []
    old_ids: list[str] = []


class StoredExample(msgspec.Struct, frozen=True, kw_only=True):
    """An example with its vector as little-endian float32, empty where there is none."""

    example_id: str
    question: str
    answers: tuple[str, ...]
    passages: tuple[str, ...]
    text: str
    group: str
    vector: bytes
    unit: str = ""


def example_of(stored: StoredExample) -> Example:
    """The example without its vector."""
    return Example(
        example_id=stored.example_id,
        question=stored.question,
        answers=stored.answers,
        passages=stored.passages,
        text=stored.text,
        group=stored.group,
        unit=stored.unit,
    )
