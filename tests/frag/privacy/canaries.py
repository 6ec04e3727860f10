"""Planted identifiers, as hypothesis strategies: each is one that must be found wherever it stands."""

import string

from hypothesis import strategies as st

from frag.privacy.identifiers import IBAN_LENGTHS, luhn_valid

_CARD_PRINTS = ([16], [4, 4, 4, 4], [4, 6, 5], [15], [12], [13], [19], [4, 4, 4, 4, 3], [4, 6, 4])
digits = st.text(string.digits, min_size=20, max_size=20)
separators = st.sampled_from(["-", " ", "\u00a0", "\u2011", "\u2013"])


def _card(sizes: list[int], number: str, separator: str) -> str:
    length = sum(sizes)
    body = number[: length - 1]
    (check,) = (digit for digit in string.digits if luhn_valid(body + digit))
    number, groups = body + check, []
    for size in sizes:
        groups.append(number[:size])
        number = number[size:]
    return separator.join(groups)


def _iban(country: str, bban: str, spaced: bool, lower: bool) -> str:
    compact = f"{country.upper()}{bban[:2]}{bban[2:]}"[: IBAN_LENGTHS[country]]
    text = " ".join(compact[i : i + 4] for i in range(0, len(compact), 4)) if spaced else compact
    return text.lower() if lower else text


def _disguise(text: str, places: list[int]) -> str:
    for place in places:
        inside = 1 + place % (len(text) - 1)
        text = f"{text[:inside]}\u200b{text[inside:]}"
    return text


cards = st.builds(_card, st.sampled_from(_CARD_PRINTS), digits, separators)
ssns = st.builds(lambda number, gap: gap.join((number[:3], number[3:5], number[5:9])), digits, separators)
ibans = st.builds(
    lambda country, check, digit, rest, spaced, lower: _iban(country, check + digit + rest, spaced, lower),
    st.sampled_from(sorted(IBAN_LENGTHS)),
    st.text(string.digits, min_size=2, max_size=2),
    st.sampled_from(string.digits),
    st.text(string.ascii_uppercase + string.digits, min_size=40, max_size=40),
    st.booleans(),
    st.booleans(),
)
labels = st.from_regex(r"[a-zA-Z0-9üßж中]([a-zA-Z0-9üßж中-]{0,8}[a-zA-Z0-9üßж中])?", fullmatch=True)
emails = st.builds(
    lambda local, domain: f"{local}@{'.'.join(domain)}",
    st.from_regex(r"[a-zA-Z0-9._%+éж中-]{1,12}", fullmatch=True),
    st.lists(labels, min_size=2, max_size=4),
)
identifiers = (
    st.tuples(st.just("EMAIL_ADDRESS"), emails)
    | st.tuples(st.just("CREDIT_CARD"), cards)
    | st.tuples(st.just("US_SSN"), ssns)
    | st.tuples(st.just("IBAN_CODE"), ibans)
)
disguised = st.builds(
    lambda canary, places: (canary[0], _disguise(canary[1], places)),
    identifiers,
    st.lists(st.integers(0, 99), max_size=3),
)

# Letters or digits that touch a number make it another number; anything else may touch it.
punctuation = st.sampled_from([*string.punctuation.replace("_", ""), "\n", "“", "”", "…", "\uff0c", "。", "", ">", "<"])
surroundings = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
