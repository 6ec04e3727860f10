"""Takes the text of deleted documents out of what this node trains on, and says which prompt versions have seen it.

Weights do not unlearn: a version that was trained on a text keeps what it learnt until another one takes its place.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import structlog

from frag.durable import write_private
from frag.errors import DatasetError, NotFoundError, NotReadyError
from server.node.datasets import Datasets
from server.node.training.arrivals import heirs
from server.node.training.lineage import has_seen, words_of
from server.node.training.orders import JobExamples, StoredExample

_log = structlog.get_logger()
_WAIT_S = 60.0
NOTE = "Weights do not unlearn: these versions keep what they learnt. Train and promote others, or roll back."


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken out: examples by data set, and by job of those that its rounds would still have used.

    `prompt_versions` were trained here on text of the documents; of `unknown_versions` this node no longer knows.
    """

    datasets: dict[str, int] = {}
    jobs: dict[str, int] = {}
    prompt_versions: list[str] = []
    unknown_versions: list[str] = []
    note: str = ""


def both(first: Forgotten, second: Forgotten) -> Forgotten:
    """What two passes took out."""
    return Forgotten(
        datasets=dict(Counter(first.datasets) + Counter(second.datasets)),
        jobs=dict(Counter(first.jobs) + Counter(second.jobs)),
        prompt_versions=sorted({*first.prompt_versions, *second.prompt_versions}),
        unknown_versions=sorted({*first.unknown_versions, *second.unknown_versions}),
        note=first.note or second.note,
    )


class Traces:
    """Recognises text of some documents: a run of `limit` words in common, or a shorter text that lies inside whole.

    What is in `staying`, too, is nobody's trace: of a document that was changed, only what it no longer says counts.
    """

    def __init__(self, texts: Sequence[str], limit: int, staying: Sequence[str] = ()) -> None:
        documents, left = [words_of(text) for text in texts], [words_of(text) for text in staying]
        self._limit = limit
        self._runs = {run for words in documents for run in self._runs_of(words)}
        self._runs.difference_update(run for words in left for run in self._runs_of(words))
        self._whole = [f" {' '.join(words)} " for words in documents]
        self._staying = [f" {' '.join(words)} " for words in left]

    def __repr__(self) -> str:
        return f"Traces({len(self._runs)} runs)"

    def found_in(self, text: str) -> bool:
        """Whether `text` holds text of the documents. Fewer than four words are taken for nobody's."""
        words = words_of(text)
        if len(words) < 4:
            return False
        if len(words) >= self._limit:
            return not self._runs.isdisjoint(self._runs_of(words)) or self._holds_a_short_one(words)
        joined = f" {' '.join(words)} "
        if any(joined in whole for whole in self._whole):
            return not any(joined in whole for whole in self._staying)
        return self._holds_a_short_one(words)

    def _holds_a_short_one(self, words: Sequence[str]) -> bool:
        joined = f" {' '.join(words)} "
        short = (whole for whole in self._whole if 4 <= whole.count(" ") - 1 < self._limit)
        return any(whole in joined and not any(whole in text for text in self._staying) for whole in short)

    def _runs_of(self, words: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return (tuple(words[start : start + self._limit]) for start in range(len(words) - self._limit + 1))


class TrainingMemory:
    """What this node keeps for training: data sets, and the joined examples of its last jobs. Blocking.

    Args:
        datasets: Of the node.
        folder: Of its jobs.
        limit: Words in a row that count as a copy.
    """

    def __init__(self, datasets: Datasets, folder: Path, limit: int) -> None:
        self._datasets = datasets
        self._folder = folder
        self._limit = limit
        self._joining = threading.Lock()
        self.num_joins = 0
        self.on_forget: list[Callable[[Traces], None]] = []
        self.on_forgotten: list[Callable[[Forgotten], None]] = []

    @contextmanager
    def joining(self) -> Iterator[None]:
        """While a job's examples are joined with passages, nothing is forgotten: it could be found again at once."""
        with self._joining:
            self.num_joins += 1
            yield

    def forget(self, texts: Sequence[str], staying: Sequence[str] = ()) -> Forgotten:
        """Takes out every example that holds one of `texts`, and names the jobs that have seen them.

        Args:
            texts: Passages that are gone.
            staying: Those of the same documents that are not; what both say stays.

        Raises:
            NotReadyError: A job's examples are being joined for longer than a minute.
        """
        if not texts:
            return Forgotten()
        if not self._joining.acquire(timeout=_WAIT_S):
            raise NotReadyError("A job's examples are being prepared.", "Delete the document again when it has begun.")
        try:
            traces = Traces(texts, self._limit, staying)
            datasets = self._from_datasets(traces)
            jobs = self._from_jobs(traces)
            for forget in self.on_forget:
                forget(traces)
            forgotten = self._listed(texts, staying, datasets, jobs)
            for tell in self.on_forgotten:
                tell(forgotten)
            return forgotten
        finally:
            self._joining.release()

    def _from_datasets(self, traces: Traces) -> dict[str, int]:
        gone = {}
        for name in self._datasets.usable():
            with suppress(DatasetError, NotFoundError):
                gone[name] = self._datasets.keep(
                    name, lambda e: not any(map(traces.found_in, (*e.passages, e.text, *e.answers, e.question)))
                )
        return {name: number for name, number in gone.items() if number}

    def _from_jobs(self, traces: Traces) -> dict[str, int]:
        gone = {}
        for file in sorted(self._folder.glob("*/examples.msgpack")):
            try:
                before = msgspec.msgpack.decode(file.read_bytes(), type=JobExamples)
            except (OSError, msgspec.DecodeError) as error:
                _log.warning("examples_dropped", job=file.parent.name, reason=type(error).__name__)
                file.unlink(missing_ok=True)
                continue
            after = _without(before, traces)
            number = _count(before) - _count(after)
            if number:
                write_private(file, msgspec.msgpack.encode(after))
                gone[file.parent.name] = number
        return gone

    def _listed(
        self, texts: Sequence[str], staying: Sequence[str], datasets: dict[str, int], jobs: dict[str, int]
    ) -> Forgotten:
        seen, unknown = set(jobs), set()
        for folder in sorted(path.parent for path in self._folder.glob("*/job.json")):
            knows = has_seen(folder, texts, staying)
            if knows:
                seen.add(folder.name)
            elif knows is None and folder.name not in seen:
                unknown.add(folder.name)
        seen |= heirs(seen, self._folder)
        return Forgotten(
            datasets=datasets,
            jobs=jobs,
            prompt_versions=sorted(seen),
            unknown_versions=sorted(unknown - seen),
            note=NOTE if seen or unknown else "",
        )


def _without(examples: JobExamples, traces: Traces) -> JobExamples:
    def kept(stored: list[StoredExample]) -> list[StoredExample]:
        return [e for e in stored if not any(map(traces.found_in, (*e.passages, e.text, *e.answers, e.question)))]

    return msgspec.structs.replace(
        examples,
        train=kept(examples.train),
        validation=kept(examples.validation),
        held_out=kept(examples.held_out),
    )


def _count(examples: JobExamples) -> int:
    return len(examples.train) + len(examples.validation) + len(examples.held_out)
