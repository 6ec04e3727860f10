"""The price of the release filter, apart from the fan-out: one answer scrubbed by the shipped policy."""

import statistics
import time

from frag.models import Kind, locate
from frag.policy_settings import PolicySettings
from frag.privacy.pii import PresidioRedactor
from frag.privacy.release import Draft, ReleaseRules, release
from frag.settings import ModelSettings
from frag.types import AnswerMode

_SENTENCES = (
    "The ward number {0} keeps visitors out after eight in the evening, except for parents. ",
    "On the second visit Maria Keller asked for the results and for a letter to her employer. ",
    "Please write to office{0}@example.org, or call (212) 555-0134 between nine and noon. ",
    "A dose of {0} mg is given twice a day with food, and halved when the kidneys are weak. ",
    "The refrigerator alarm sounds above eight degrees; Thomas Brandt moves the stock within the hour. ",
)
_NUM_RUNS = 5


def scrub_ms_per_answer(num_chars: int, models: ModelSettings) -> float:
    """Median time of `release` in mode `scrub` over an answer of `num_chars`. Blocking.

    Raises:
        ModelError: The named-entity model is missing or corrupt.
    """
    policy = PolicySettings()
    redactor = PresidioRedactor(locate(models.ner, Kind.NER), policy.entity_types)
    rules = ReleaseRules(
        mode=AnswerMode.SCRUB,
        entity_types=policy.entity_types,
        verbatim_limit_tokens=policy.verbatim_limit_tokens,
        min_evidence=policy.min_evidence,
    )
    passages = [_text(first, 1_000) for first in range(1_000, 1_000 + models.context_passages)]
    samples_s = []
    for run in range(_NUM_RUNS + 1):
        draft = Draft(text=_text(run, num_chars), evidence=1.0)
        started = time.perf_counter()
        release(draft, rules, redactor, passages)
        samples_s.append(time.perf_counter() - started)
    return round(statistics.median(samples_s[1:]) * 1000, 2)  # the first run warms caches


def _text(first: int, num_chars: int) -> str:
    """Prose with names and identifiers, different for each `first`, exactly `num_chars` long."""
    num_sentences = num_chars // min(map(len, _SENTENCES)) + 1
    picked = (_SENTENCES[i % len(_SENTENCES)].format(first + i) for i in range(num_sentences))
    return "".join(picked)[:num_chars]
