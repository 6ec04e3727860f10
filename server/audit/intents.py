"""A small classification task: what a short request is about, from its sentence embedding."""

import json
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from frag.errors import DatasetError
from frag.protocols import FloatArray
from frag.sampling import derive_seed
from server.audit.report import AuditSettings

Labels = npt.NDArray[np.int64]
NUM_INTENTS = 30
_HASHED_WIDTH = 128

_STARTS = ("please {}", "can you {}", "i need to {}", "how do i {}", "help me {}", "i would like to {}")
_ENDS = ("", " today", " for my team", " before noon", " again", " as soon as possible")
_WISHES = {
    "room": ("book a meeting room", "reserve the big room", "find a free room"),
    "leave": ("ask for a day off", "plan my holidays", "enter two weeks of leave"),
    "parcel": ("send a parcel", "track a package", "print a shipping label"),
    "badge": ("replace my badge", "order a new door card", "unlock the entrance"),
    "laptop": ("repair my laptop", "get a new computer", "install a program"),
    "payroll": ("see my pay slip", "change my bank account", "correct my salary"),
    "canteen": ("read the lunch menu", "order a vegetarian meal", "pay at the canteen"),
    "travel": ("book a train", "hand in travel costs", "find a hotel"),
    "printer": ("mend the printer", "print in colour", "scan a letter"),
    "training": ("join a course", "cancel a seminar", "see open trainings"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intents:
    """Unit vectors [texts, width] and classes [texts]; `learning_rate` suits their scale."""

    name: str
    train: FloatArray = field(repr=False)
    train_labels: Labels = field(repr=False)
    test: FloatArray = field(repr=False)
    test_labels: Labels = field(repr=False)
    learning_rate: float

    @property
    def num_classes(self) -> int:
        return int(self.train_labels.max()) + 1


def load_intents(settings: AuditSettings) -> Intents:
    """CLINC150's first intents by name where there is `clinc150/` in the data, else built-in requests.

    Raises:
        DatasetError: The file is not of that form.
    """
    file = settings.data / "clinc150" / "data_small.json" if settings.data else None
    if file is None or not file.is_file() or settings.quick:
        return _built_in(settings.seed)
    return _clinc(file, settings.threads)


def _built_in(seed: int) -> Intents:
    texts, labels = [], []
    for label, wishes in enumerate(_WISHES.values()):
        made = [start.format(wish) + end for start, wish, end in product(_STARTS, wishes, _ENDS)]
        texts += made
        labels += [label] * len(made)
    order = np.random.default_rng(derive_seed(seed, "intents")).permutation(len(texts))
    vectors = np.stack([_hashed(texts[index]) for index in order])
    classes = np.array(labels, np.int64)[order]
    cut = 2 * len(texts) // 3
    return Intents(
        name="built-in requests",
        train=vectors[:cut],
        train_labels=classes[:cut],
        test=vectors[cut:],
        test_labels=classes[cut:],
        learning_rate=16.0,
    )


def _hashed(text: str) -> FloatArray:
    """A bag of words at seeded places: enough for a task whose classes share few words."""
    vector = np.zeros(_HASHED_WIDTH, np.float32)
    for word in text.split():
        place = derive_seed(0, "word", word)
        vector[place // 2 % _HASHED_WIDTH] += 1.0 if place % 2 else -1.0
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _clinc(file: Path, threads: int) -> Intents:
    from frag.settings import ModelSettings
    from server.node.assembly import load_embedder

    try:
        rows = json.loads(file.read_bytes())
        parts = {part: [(str(text), str(label)) for text, label in rows[part]] for part in ("train", "test")}
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} is not CLINC150: {error}.", "Use data_small.json of clinc/oos-eval.") from error
    names = sorted({label for _, label in parts["train"]})[:NUM_INTENTS]
    embedder = load_embedder(ModelSettings(threads=threads))
    arrays = {}
    for part, items in parts.items():
        kept = [(text, names.index(label)) for text, label in items if label in names]
        arrays[part] = embedder.embed([text for text, _ in kept]), np.array([label for _, label in kept], np.int64)
    return Intents(
        name=f"CLINC150, {len(names)} intents",
        train=arrays["train"][0],
        train_labels=arrays["train"][1],
        test=arrays["test"][0],
        test_labels=arrays["test"][1],
        learning_rate=20.0,
    )
