"""National and tax identity numbers of persons, by the checks that their countries publish (python-stdnum).

A check digit alone lets one number in ten pass, so a word that announces such a number must stand before it, unless its
form has letters in fixed places.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from types import ModuleType

_ANNOUNCED = (
    "at.vnr", "au.tfn", "be.nn", "bg.egn", "br.cpf", "ca.sin", "ch.ssn", "cl.rut", "cn.ric", "cz.rc", "de.idnr",
    "dk.cpr", "ee.ik", "fr.nir", "gb.nhs", "hr.oib", "il.idnr", "in_.aadhaar", "kr.rrn", "lt.asmens", "nl.bsn",
    "no.fodselsnummer", "pl.pesel", "pt.nif", "ro.cnp", "se.personnummer", "si.emso", "tr.tckimlik", "za.idnr",
)  # fmt: skip
"""Digits with check digits."""
_LETTERED = ("es.nie", "es.nif", "fi.hetu", "ie.pps", "in_.pan", "it.codicefiscale", "mx.curp")
"""Digits and letters in fixed places."""
_CANDIDATE = re.compile(
    r"(?<![\w.-])(?=[a-z]*\d)[a-z0-9]{2,18}(?:[ ./+-](?=[a-z0-9]*\d|[a-z]\b)[a-z0-9]{1,8}){0,5}(?![\w-])"
)
"""Tokens with digits, and perhaps a letter of its own at the end."""
_WORDS = re.compile(
    r"\b(?:"
    r"aadhaar|bsn|codice fiscale|cnp|cpf|cpr|curp|dni|egn|emso|fiscal code|hetu|"
    r"id(?: (?:card|code|number|no))?|identi(?:fication|ty)(?: (?:card|code|number|no))?|identitätsnummer|"
    r"insee|insurance n(?:umber|o)|kennitala|national (?:id|insurance|number)|nhs(?: (?:number|no))?|nie|"
    r"nif|nir|numéro de sécurité sociale|oib|pan|personal (?:code|id|number)|personnummer|pesel|ppsn?|"
    r"rodné číslo|rut|sin|social (?:insurance|security)|steuer(?:liche )?-?(?:id|identifikationsnummer)|"
    r"tax(?:payer)? (?:id|identification|number|code|file number)|tckn|tfn"
    r")\b"
)
_REACH = 40
"""Characters before a number in which it may be announced."""


def find_national_ids(text: str) -> Iterator[tuple[int, int]]:
    """Spans in folded text."""
    for match in _CANDIDATE.finditer(text):
        if not any(char.isdigit() for char in match[0]):
            continue
        before = text[max(0, match.start() - _REACH) : match.start()]
        names = (*_LETTERED, *_ANNOUNCED) if _WORDS.search(before) else _LETTERED
        if any(_module(name).is_valid(match[0].upper()) for name in names):
            yield match.span()


@lru_cache
def _module(name: str) -> ModuleType:
    return import_module(f"stdnum.{name}")
