"""How much of a text that is still being written can be shown as final, and how it ends if the rest is discarded.

A guard that looks at the whole text decides too late for a reader who watches it come. So the guard looks at every
beginning that ends with a sentence: one that invents nothing, and says all of at least one more answer than the
beginning before it, stays whatever follows. If the whole then fails, the answers that are missing are put behind it.
"""

import re
from collections.abc import Sequence

from frag.answers.abstention import says_nothing
from frag.answers.faithfulness import invents, keeps

_SENTENCE_END = re.compile(r"[.!?…。][\"')\]”’]*(?=\s)")


def tidy(text: str) -> str:
    """One line; several written lines become sentences."""
    lines = [line for line in (" ".join(line.split()) for line in text.splitlines()) if line]
    return join_sentences(lines) if len(lines) > 1 else "".join(lines)


def join_sentences(texts: Sequence[str]) -> str:
    """The texts in their order, each as a sentence of its own."""
    return " ".join(text if text.endswith((".", "!", "?", "…", "。")) else f"{text}." for text in texts)


def last_sentence_end(text: str) -> int:
    """Where the last sentence ends that another one follows; 0 if there is none. Cheap, unlike the guard."""
    return max((end.end() for end in _SENTENCE_END.finditer(text)), default=0)


def settled_part(text: str, answers: Sequence[str], question: str) -> str:
    """The beginning of a tidy `text` that stays, perhaps nothing. It only grows while `text` grows."""
    settled, num_kept = "", 0
    for end in _SENTENCE_END.finditer(text):
        beginning = text[: end.end()]
        if says_nothing(beginning) or invents(beginning, answers, question):
            break
        kept = sum(keeps(beginning, answer, question) for answer in answers)
        if kept > num_kept:
            settled, num_kept = beginning, kept
    return settled


def completed(settled: str, answers: Sequence[str], question: str) -> str:
    """`settled`, and behind it the answers that it does not say."""
    missing = [answer for answer in answers if not settled or not keeps(settled, answer, question)]
    return join_sentences([settled, *missing] if settled else missing)
