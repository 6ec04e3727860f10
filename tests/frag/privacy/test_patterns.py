import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.errors import SettingsError
from frag.privacy.entities import PATTERN_TYPES
from frag.privacy.identifiers import iban_checksum_valid, luhn_valid
from frag.privacy.patterns import PatternRedactor
from frag.privacy.redaction import redact
from tests.frag.privacy.canaries import disguised, identifiers, punctuation, surroundings

FIND = PatternRedactor().find


def kinds(text: str) -> list[tuple[str, str]]:
    return [(kind, text[start:end]) for start, end, kind in FIND(text)]


def covered(text: str, start: int, end: int) -> bool:
    return any(first <= start and end <= last for first, last, _ in FIND(text))


@settings(max_examples=400)
@given(surroundings, punctuation, identifiers, punctuation, surroundings)
def test_every_planted_identifier_is_found(before, left, canary, right, after) -> None:
    text = f"{before} {left}{canary[1]}{right} {after}"
    start = len(before) + 1 + len(left)
    assert covered(text, start, start + len(canary[1]))


@settings(max_examples=200)
@given(punctuation, disguised, punctuation)
def test_invisible_characters_hide_nothing(left, canary, right) -> None:
    text = f"Note {left}{canary[1]}{right} end"
    start = text.index(canary[1])
    assert covered(text, start, start + len(canary[1]))


@given(surroundings, identifiers, surroundings)
def test_redacting_is_done_in_one_go(before, canary, after) -> None:
    text = f"{before} {canary[1]} {after}"
    redacted, _ = redact(text, FIND(text))
    assert FIND(redacted) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mail:<Jane.Smith@clinic.example>", [("EMAIL_ADDRESS", "Jane.Smith@clinic.example")]),
        ('"jane smith"@x.org.', [("EMAIL_ADDRESS", '"jane smith"@x.org')]),
        ("Card 4111 1111 1111 1111 12/25", [("CREDIT_CARD", "4111 1111 1111 1111")]),
        ("no. 2 4111-1111-1111-1111", [("CREDIT_CARD", "4111-1111-1111-1111")]),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", [("CREDIT_CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1")]),
        ("<US_SSN_123-45-6789>", [("US_SSN", "123-45-6789")]),
        ("ssn: 123456789", [("US_SSN", "123456789")]),
        ("ref0123-45-67890", [("US_SSN", "123-45-6789")]),
        ("to de89370400440532013000, now", [("IBAN_CODE", "de89370400440532013000")]),
        ("toDE89370400440532013000now", [("IBAN_CODE", "DE89370400440532013000")]),
        ("NO93 8601 1117 947 is", [("IBAN_CODE", "NO93 8601 1117 947")]),
        ("+44 (0)20 7946 0958 or (212) 555-0142", None),
        ("at 192.168.0.17, fe80::1 and 2001:db8::8a2e:370:7334", None),
    ],
)
def test_forms(text: str, found: list[tuple[str, str]] | None) -> None:
    if found is None:
        assert len(kinds(text)) == text.count(" or ") + text.count(",") + text.count(" and ") + 1
    else:
        assert kinds(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "In 1984 about 120 135 140 patients took 5 mg at 12:30:45.",
        "std::vector and version 3.11.2; ratio 1:2:3",
        "4111 1111 1111 1112 fails the check",
        "de12 that were from this ward in Bonn only",
        "<PERSON_1> wrote to <EMAIL_ADDRESS_2> from <IP_ADDRESS_3>.",
        "twenty@home, @handle, a@b",
        "999.1.1.1 is no address, nor 1.2.3",
        "pages 100-200, ISO 27001-2013, 0.35 0.75 1.25 2.50 3.75 4.00",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert kinds(text) == []


def test_only_the_types_of_the_policy_are_found() -> None:
    text = "jane@x.org 123-45-6789"
    assert [kind for *_, kind in PatternRedactor(("US_SSN", "PERSON")).find(text)] == ["US_SSN"]
    assert PatternRedactor(()).find(text) == []


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="SHOE_SIZE") as caught:
        PatternRedactor(("SHOE_SIZE",))
    assert all(kind in caught.value.mend for kind in PATTERN_TYPES)


def test_checksums_by_hand() -> None:
    assert luhn_valid("79927398713")  # the example of ISO/IEC 7812-1
    assert not luhn_valid("79927398710")
    assert iban_checksum_valid("gb82west12345698765432")
    assert not iban_checksum_valid("gb83west12345698765432")


@pytest.mark.parametrize("unit", ["a", "a.", "1 ", "1-", "a@", "+1", "0 ", "de12", ":", '"', "@a.", "0/", "1.1."])
@pytest.mark.timeout(20)
def test_long_rows_take_no_time(unit: str) -> None:
    FIND(unit * 20_000)


@given(st.text())
def test_any_text_is_searched(text: str) -> None:
    found = FIND(text)
    assert all(0 <= start < end <= len(text) for start, end, _ in found)
