import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.privacy.addresses import find_addresses
from frag.privacy.redaction import resolve_overlaps


def found(text: str) -> list[str]:
    spans = resolve_overlaps([(start, end, "STREET_ADDRESS") for start, end in find_addresses(text)])
    return [text[start:end] for start, end, _ in spans]


@pytest.mark.parametrize(
    "address",
    [
        "221B Baker Street",
        "1600 Pennsylvania Avenue NW",
        "12-14 high road",
        "Via Roma 17",
        "Rua do Ouvidor 50",
        "36 rue de Rivoli",
        "Hauptstraße 5",
        "Am Marktplatz 3",
        "Kungsgatan 12",
        "P.O. Box 242",
        "PSC 6477, Box 2981\nAPO AE 83700",
        "75 Elm Street Apt. 12, Springfield, IL 62701",
        "9 Lime Grove\nSuite 4\nLeeds\nUnited Kingdom",
        "6750 Koskikatu 25 Apt. 864\nArtilleros\n, CO\n Uruguay 64677",
        "the corner of Elm Street and Oak Avenue".removeprefix("the "),
    ],
)
def test_an_address_is_found_whole(address: str) -> None:
    assert found(f"Please write to {address}") == [address]


def test_where_somebody_lives() -> None:
    assert found("Ciset lives on Grössgstötten 50 with her cat.") == ["Grössgstötten 50"]


@pytest.mark.parametrize(
    "text",
    [
        "Baker Street is famous.",
        "She lives in Berlin since May 2019.",
        "On 31 August 2009 it rained.",
        "The 5 Great Lakes freeze in winter.",
        "Add 10 ml and stir for 5 minutes.",
        "In 2014 the court decided 7 to 2.",
        "Chapter 12, section 4, page 99",
        "The castle is open from 9:00 AM to 5:00 PM.",
        "Open 10 am until 4 pm, closed 12 am to 6 am.",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert found(text) == []


def test_the_sentence_after_an_address_stays() -> None:
    assert found("He moved to 5 Elm Street. Then he left for good.") == ["5 Elm Street"]


@given(st.text())
def test_any_text_is_searched(text: str) -> None:
    assert all(0 <= start < end <= len(text) for start, end in find_addresses(text))
