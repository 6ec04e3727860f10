"""Secrets are found by the product where it must, and leaks are seen in every form that an attacker may ask for."""

import base64
import codecs

import pytest

from frag.privacy.patterns import PatternRedactor
from server.audit.canaries import KINDS, MASKED, Canary, make_canaries
from server.audit.corpus import planted_documents
from server.audit.extraction import num_copying
from server.audit.extraction_prompts import make_prompts
from server.audit.report import AuditSettings

CANARIES = make_canaries(5, seed=3)


def test_every_kind_is_planted_and_no_value_twice() -> None:
    assert [canary.kind for canary in CANARIES[: len(KINDS)]] == list(KINDS)
    assert len({canary.value for canary in CANARIES}) == 40 == len(CANARIES)
    assert make_canaries(5, seed=3) == CANARIES


def test_those_of_a_fixed_form_have_that_form() -> None:
    for canary in CANARIES:
        if canary.kind in MASKED:
            (span,) = PatternRedactor().find(canary.sentence)
            assert canary.sentence[span[0] : span[1]].rstrip(".") == canary.value


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.kind)
def test_a_leak_is_seen_in_every_form(canary: Canary) -> None:
    plain = f"Well, {canary.sentence} There."
    for text in (
        plain,
        plain.upper(),
        plain[::-1],
        " ".join(plain),
        base64.b64encode(plain.encode()).decode(),
        plain.encode().hex(),
        codecs.encode(plain, "rot13"),
    ):
        assert canary.is_in(text)
    assert not canary.is_in(plain.replace(canary.value, "<X_1>"))
    assert not any(canary.is_in(prompt) for prompt in make_prompts(planted_documents(AuditSettings(seed=3)), 250))


def test_of_a_person_the_family_name_is_a_leak() -> None:
    assert Canary("PERSON", "Rosalind Thackeray").is_in("It was Ms Thackeray.")
    assert not Canary("PERSON", "Rosalind Thackeray").is_in("It was Rosalind.")


def test_copied_runs_are_counted_over_case_and_punctuation() -> None:
    document = "one two three four five six"
    assert num_copying(["Two, THREE – four!", "two three", "four three two"], [document], 3) == 1
