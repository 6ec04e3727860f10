"""Exact match and token F1 of answers.

Source: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.1, and
    the
evaluation script that came with SQuAD 2.0 (an empty answer matches only an empty one).
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from frag.protocols import FloatArray

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_normalise(text: str) -> str:
    """Lower case without ASCII punctuation and English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1.0 if the normalised prediction equals any normalised gold answer, else 0.0.

    Raises:
        ValueError: `golds` is empty.
    """
    normal = squad_normalise(prediction)
    return max(float(normal == squad_normalise(gold)) for gold in golds)


def token_f1(prediction: str, golds: Sequence[str]) -> float:
    """The best harmonic mean in [0, 1] of token precision and recall over the gold answers.

    Raises:
        ValueError: `golds` is empty.
    """
    predicted = squad_normalise(prediction).split()
    return max(_f1(predicted, squad_normalise(gold).split()) for gold in golds)


def _f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    return 2 * (Counter(predicted) & Counter(gold)).total() / (len(predicted) + len(gold))


def token_f1_similarity(texts: Sequence[str]) -> FloatArray:
    """The [n, n] float32 matrix of pairwise token F1; symmetric, 1.0 on the diagonal."""
    tokens = [squad_normalise(text).split() for text in texts]
    columns = {token: column for column, token in enumerate(sorted({t for row in tokens for t in row}))}
    counts = np.zeros((len(texts), len(columns)), dtype=np.float32)
    for row, words in enumerate(tokens):
        np.add.at(counts[row], [columns[word] for word in words], 1.0)
    shared = np.minimum(counts[:, None, :], counts[None, :, :]).sum(axis=2)
    sizes = counts.sum(axis=1)
    totals = sizes[:, None] + sizes[None, :]
    both_empty = totals == 0
    return np.where(both_empty, 1.0, 2 * shared / np.where(both_empty, 1.0, totals)).astype(np.float32)
