"""What is masked in a question, what is left for the search, and how answers are made whole again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.privacy.patterns import PatternRedactor
from frag.privacy.questions import QuestionPatterns, scrub_question
from frag.privacy.redaction import redact

PATTERNS = QuestionPatterns()


@pytest.mark.parametrize(
    ("question", "sent", "masked"),
    [
        (
            "Mail ada@example.org or bob@example.org, or ada@example.org again?",
            "Mail <EMAIL_ADDRESS_Q1> or <EMAIL_ADDRESS_Q2>, or <EMAIL_ADDRESS_Q1> again?",
            {"EMAIL_ADDRESS": 3},
        ),
        (
            "My name is ada lovelace, when is my visit?",
            "My name is <PERSON_Q1>, when is my visit?",
            {"PERSON": 1},
        ),
        ("I'm Ada Lovelace. Is it open?", "I'm <PERSON_Q1>. Is it open?", {"PERSON": 1}),
        ("May my daughter Ada eat nuts?", "May my daughter <PERSON_Q1> eat nuts?", {"PERSON": 1}),
        (
            "What does patient Ada Lovelace take, SSN 078-05-1120?",
            "What does patient <PERSON_Q1> take, SSN <US_SSN_Q1>?",
            {"PERSON": 1, "US_SSN": 1},
        ),
    ],
)
def test_identifiers_and_names_introduced_as_private_are_masked(
    question: str, sent: str, masked: dict[str, int]
) -> None:
    scrubbed = scrub_question(question, PATTERNS)
    assert (scrubbed.text, scrubbed.masked) == (sent, masked)
    assert scrubbed.restore(sent) == question


@pytest.mark.parametrize(
    "question",
    [
        "Who wrote about Ada Lovelace in 1843?",
        "Where did Tesla work with Edison?",
        "I am in Berlin, where is the ward?",
        "What does my patient need after surgery?",
        "What is (are) Parkinson's disease?",
    ],
)
def test_what_a_question_is_about_stays(question: str) -> None:
    assert scrub_question(question, PATTERNS).text == question


def test_what_a_node_has_hidden_is_never_taken_for_what_the_asker_wrote() -> None:
    scrubbed = scrub_question("Was my son Ben seen?", PATTERNS)
    draft = "<PERSON_Q1> was seen by Dr. Miller, miller@example.org."
    released, _ = redact(draft, [(draft.index("Miller"), draft.index(","), "PERSON"), *PatternRedactor().find(draft)])
    assert released == "<PERSON_Q1> was seen by Dr. <PERSON_1>, <EMAIL_ADDRESS_1>."
    assert scrubbed.restore(released) == "Ben was seen by Dr. <PERSON_1>, <EMAIL_ADDRESS_1>."


def test_placeholders_that_the_asker_wrote_keep_their_meaning() -> None:
    scrubbed = scrub_question("Is <PERSON_Q1> my son Ben?", PATTERNS)
    assert scrubbed.text == "Is <PERSON_Q1> my son <PERSON_Q2>?"
    assert scrubbed.restore("<PERSON_Q1> and <person_q2>") == "<PERSON_Q1> and Ben"


@given(st.text(max_size=200))
def test_masking_can_be_taken_back(question: str) -> None:
    scrubbed = scrub_question(question, PATTERNS)
    if "<" not in question:
        assert scrubbed.restore(scrubbed.text) == question
    assert sum(scrubbed.masked.values()) == 0 or scrubbed.text != question


def test_nothing_shows_the_words() -> None:
    assert "Ben" not in repr(scrub_question("Is this my son Ben?", PATTERNS))
