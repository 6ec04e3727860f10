"""Pairs that embed alike: which are one fact, and which are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.answers.facts import facts_of

SAME = [
    ("Give five milligrams daily", "give 5 mg daily"),
    ("It was 1,000 euros", "It was €1000"),
    ("It cost two million dollars", "It cost $2,000,000"),
    ("2.50 litres", "2.5 l"),
    ("On 3 May 2020 it opened", "It opened on 2020-05-03"),
    ("It opened on May 3rd, 2020", "It opened 3 May 2020"),
    ("Patients should rest", "All patients should rest"),
    ("Twenty-five people came", "25 people came"),
    ("He can't come", "He cannot come"),
    ("Not only cats but dogs", "Cats and dogs"),
    ("Denver Broncos", "the Denver Broncos"),
    ("Smith's house", "The house of Smith"),
    ("He is not unable to walk", "He is able to walk"),
]
DIFFERENT = [
    ("Give 5 mg daily.", "Give 50 mg daily."),
    ("Give 5 mg daily.", "Give 5 g daily."),
    ("It lasts five days", "It lasts five weeks"),
    ("The patient is allergic", "The patient is not allergic"),
    ("She denies pain", "She has pain"),
    ("Take it with food", "Take it without food"),
    ("Miriam keeps the keys", "Jane keeps the keys"),
    ("It opened on 3 May 2020", "It opened on 4 May 2020"),
    ("It opened in May 2020", "It opened in May 2021"),
    ("WHO advises rest", "It is advised to rest"),
    ("It rose by 3 %", "It rose by 3"),
    ("In 1990 it fell", "It fell"),
    ("Marie Curie found it", "Curie found it"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_fact_in_two_ways(one: str, other: str) -> None:
    assert facts_of(one).agree(facts_of(other)), (facts_of(one).numbers, facts_of(other).numbers)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_facts_in_like_words(one: str, other: str) -> None:
    assert not facts_of(one).agree(facts_of(other))
    assert not facts_of(other).agree(facts_of(one))


@given(st.text())
def test_every_statement_agrees_with_itself(text: str) -> None:
    facts = facts_of(text)
    assert facts.agree(facts)
