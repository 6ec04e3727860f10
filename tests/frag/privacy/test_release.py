import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.privacy.patterns import PatternRedactor
from frag.privacy.release import Draft, Outcome, Released, ReleaseRules, Withheld, WithheldReason, release
from frag.privacy.verbatim import ELISION, VerbatimGuard
from frag.types import AnswerMode
from tests.frag.privacy.canaries import identifiers

FILTERS = [mode for mode in AnswerMode if mode is not AnswerMode.DP]
PASSAGE = "Mrs. Jane Smith, born in Bonn, takes forty milligrams of Zanoril every morning before breakfast."
TYPES = ("PERSON", "EMAIL_ADDRESS", "CREDIT_CARD", "US_SSN", "IBAN_CODE", "PHONE_NUMBER", "IP_ADDRESS")


class NameRedactor:
    """Patterns, and the one name that these tests use."""

    def find(self, text: str) -> list[tuple[int, int, str]]:
        spans = PatternRedactor(TYPES).find(text)
        place = text.find("Jane Smith")
        return spans if place < 0 else sorted([*spans, (place, place + len("Jane Smith"), "PERSON")])


class BlindRedactor:
    def find(self, text: str) -> list[tuple[int, int, str]]:
        return []


def let_out(
    text: str, *passages: str, mode: AnswerMode = AnswerMode.SCRUB, evidence: float = 0.8, limit: int = 6, redactor=None
) -> Outcome:
    rules = ReleaseRules(mode=mode, entity_types=TYPES, verbatim_limit_tokens=limit, min_evidence=0.35)
    return release(Draft(text=text, evidence=evidence), rules, redactor or NameRedactor(), passages)


def test_a_plain_answer_leaves_unchanged() -> None:
    assert let_out("It is 40 mg.", PASSAGE) == Released(text="It is 40 mg.", redactions={})


def test_names_and_copies_are_taken_out_together() -> None:
    outcome = let_out(f"{PASSAGE} Ask jane@x.org.", PASSAGE)
    # five words stay of the copied run, two of them a name
    assert outcome == Released(
        text=f"Mrs. <PERSON_1>, born in {ELISION}. Ask <EMAIL_ADDRESS_1>.",
        redactions={"PERSON": 1, "EMAIL_ADDRESS": 1},
        num_cuts=1,
    )


def test_personal_data_across_the_edge_of_a_cut_is_cut() -> None:
    # the fifth word is "Jane", the sixth "Smith": half of the name would stay if only the copy were cut
    passage = "on that day nurse Jane Smith left the ward early"
    outcome = let_out(f"Well, {passage}, they say.", passage, limit=6)
    assert outcome == Released(text=f"Well, on that day nurse {ELISION}, they say.", redactions={}, num_cuts=1)


@pytest.mark.parametrize("evidence", [0.34, -1.0, math.nan])
@pytest.mark.parametrize("mode", FILTERS)
def test_weak_evidence_is_no_answer(mode: AnswerMode, evidence: float) -> None:
    assert let_out("5 mg", mode=mode, evidence=evidence) == Withheld(reason=WithheldReason.NO_EVIDENCE)


@pytest.mark.parametrize("text", ["", "Not found.", "I don't know.", "…"])
@pytest.mark.parametrize("mode", FILTERS)
def test_a_model_that_knows_nothing_is_no_answer(mode: AnswerMode, text: str) -> None:
    assert let_out(text, mode=mode) == Withheld(reason=WithheldReason.NO_ANSWER)


def test_mode_none_changes_nothing() -> None:
    text = f"{PASSAGE} 123-45-6789"
    assert let_out(text, PASSAGE, mode=AnswerMode.NONE) == Released(text=text, redactions={})


def test_what_a_redactor_missed_is_held_back() -> None:
    outcome = let_out("Her number is 123-45-6789.", redactor=BlindRedactor())
    assert outcome == Withheld(reason=WithheldReason.PII)


def test_a_copy_that_redaction_makes_is_held_back() -> None:
    # the raw text copies nothing; with the placeholder it is what the model saw
    outcome = let_out("Yes: given to Jane Smith on the ward", "given to <PERSON_7> on the ward")
    assert outcome == Withheld(reason=WithheldReason.VERBATIM)


@pytest.mark.parametrize("text", ["Jane Smith", "jane@x.org, 123-45-6789", "To the Jane Smith…"])
def test_an_answer_of_nothing_but_identifiers_is_held_back(text: str) -> None:
    assert let_out(text) == Withheld(reason=WithheldReason.NOTHING_LEFT)


def test_repr_holds_no_text() -> None:
    outcome = let_out("Secret dose")
    assert "Secret" not in repr(outcome) + repr(Draft(text="Secret", evidence=0.5))


tokens = st.sampled_from(
    ["the", "dose", "is", "forty", "mg", "<PERSON_1>", "Jane Smith", "漢", "½", "a@b.org", "\u200b"]
)
token_texts = st.lists(tokens, max_size=30).map(" ".join)


@settings(max_examples=200)
@given(token_texts, token_texts, identifiers, st.integers(2, 6))
def test_whatever_leaves_is_free_of_copies_and_patterns(text, passage, canary, limit) -> None:
    outcome = let_out(f"{text} {canary[1]} {passage}", passage, f"{canary[1]} {passage}", limit=limit)
    if isinstance(outcome, Released):
        assert not VerbatimGuard([passage], limit).copies(outcome.text)
        assert PatternRedactor().find(outcome.text) == []
        assert canary[1] not in outcome.text


def test_no_filter_passes_for_differential_privacy() -> None:
    with pytest.raises(ValueError, match="not differential privacy"):
        let_out("A harmless answer.", PASSAGE, mode=AnswerMode.DP)
