"""Street addresses by their form: house number and street, post-office box, flat, and the lines that follow.

Forms of English, Romance, Germanic, Nordic and some other languages. A house number is always asked for, so that "Baker
Street" as such stays; an address without one is missed.
"""

import re
from collections.abc import Iterator

_NUMBER = r"(?:no\.?\s?)?#?\d{1,6}(?:\s?[-–/]\s?\d{1,5})?\s?[a-z]?"
_WORD = r"[^\W\d_]{1,30}(?:['’.-][^\W\d_]{1,20}){0,3}\.?"
_GAP = r"[ \t]{1,2}"
_ENGLISH = (
    r"street|st|road|rd|avenue|ave|av|lane|ln|drive|dr|court|ct|place|pl|square|sq|boulevard|blvd|way|terrace|ter|close|"
    r"crescent|cres|parkway|pkwy|highway|hwy|trail|trl|row|gardens|grove|walk|mews|gateway|plaza|circle|cir|loop|path|"
    r"pike|turnpike|alley|expressway|freeway|bypass|broadway|wharf|quay|esplanade|parade|heights|hollow|ridge|crossing|"
    r"landing|meadow|meadows|point|station|village|villages|shore|shores|route|rte|hill|hills|park|run|view|bend"
)
_ROMANCE = (
    r"rua|avenida|avda|avd|av|calle|c/|via|r[úu]a|viale|piazza|piazzetta|piazzale|corso|rue|boulevard|bd"
    r"|chemin|all[ée]e|place|quai|impasse|strada|straße|strasse|plaza|paseo|ulica|ul|pra[çc]a|travessa|largo"
    r"|vicolo|camino|carrer|rambla|ronda|estrada|alameda|avenue|route|cours|sentier|borgo|contrada|callej[óo]n"
    r"|carretera|ctra|urbanizaci[óo]n|(?<!\d[ \t])am|an der|auf der"
)
_GERMANIC = (
    r"straat|strasse|straße|str|gasse|weg|allee|platz|laan|plein|gracht|kade|dreef|singel|ring|damm|ufer|gata|gatan|gaten|"
    r"gate|gade|vej|vegen|veien|v[äa]gen|katu|tie|kuja|polku|utca|út|tér|útja|gränd|stræti|braut|tún|vangur|hlíð|stígur|heiði|"
    r"bakki|gerði|holt|hof|stien|stræde|brink|steeg|ulice|ulica|námestie|náměstí|cesta|trg"
)
_RARE = (
    r"bayous?|beach|bluffs?|branch|bridge|brooks?|burgs?|canyon|cape|causeway|centers?|cliffs?|commons?|corners?|course|"
    r"coves?|creek|crest|crossroads?|curve|dale|dam|divide|estates?|extensions?|falls?|ferry|fields?|flats?|fords?|"
    r"forest|forges?|forks?|fort|glens?|greens?|groves|harbors?|haven|inlet|islands?|isle|junctions?|keys?|knolls?|"
    r"lakes?|land|lights?|loaf|locks?|lodge|mall|manors?|mills?|mission|motorway|mount|mountains?|neck|orchard|oval|"
    r"overpass|parks|pass|passage|pines?|plains?|points|ports?|prairie|radial|ramp|ranch|rapids?|rest|ridges|river|"
    r"roads|shoals?|skyway|springs?|spurs?|squares|stravenue|streams?|streets|summit|throughway|trace|track|trafficway|"
    r"tunnel|underpass|unions?|valleys?|via|viaduct|views|ville|vista|walks|wall|ways|wells?"
)
_LAST = r"(?=\s*(?:\n|,|\.|apt|suite|flat|unit|st\b|$))"
"""What a street stands before, where its form alone says too little."""
_STREET = rf"(?!(?:a|an|and|at|by|decisions?|for|from|in|landmark|of|on|or|people|the|to|was|were|years?)\b){_WORD}"
_DOT = r"(?:(?<=st|rd|dr|ln|ct|pl|sq|av)\.)?"
_QUARTER = rf"(?:{_GAP}(?:n|s|e|w|ne|nw|se|sw|north|south|east|west)\b)?"
_FRENCH = "rue|avenue|boulevard|bd|chemin|all[ée]e|place|quai|impasse|cours"
_FRENCH_NAME = rf"(?:(?:d[eu]|des|la|les?){_GAP}|[ld]['’])*{_WORD}(?:[ -][A-ZÀ-Þ][\w'’-]*){{0,3}}"
_CORES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\w.])(?:\d{{1,6}}{_GAP})?{_NUMBER}{_GAP}(?:{_STREET}{_GAP}){{1,5}}?(?:{_ENGLISH})\b{_DOT}{_QUARTER}",
        rf"(?<![\w.])(?:\d{{1,6}}{_GAP})?{_NUMBER}{_GAP}(?:{_STREET}{_GAP}){{1,5}}?(?:{_RARE})\b{_LAST}",
        rf"\bcorner of (?:[\w.'’-]+ ){{1,5}}and (?:[\w.'’-]+ ){{1,4}}(?:{_ENGLISH}|{_RARE})s?\b",
        rf"(?<![\w.])(?:\d{{1,6}}{_GAP})?{_NUMBER},?{_GAP}(?:{_FRENCH}){_GAP}{_FRENCH_NAME}",
        rf"(?<!\w)(?:\d{{1,6}}{_GAP})?(?:{_ROMANCE})\b\.?{_GAP}?(?:{_WORD}{_GAP}){{1,5}}?,?\s?{_NUMBER}(?!\w)",
        rf"(?<!\w)(?:\d{{1,6}}{_GAP}(?:{_WORD}{_GAP}){{0,3}}?)?\w{{2,30}}(?:{_GERMANIC})\.?,?{_GAP}{_NUMBER}(?!\w)",
        rf"(?<!\w)(?:\d{{1,6}}{_GAP})?(?:{_WORD}{_GAP}){{1,3}}(?:{_GERMANIC})\.?,?{_GAP}{_NUMBER}(?!\w)",
        r"(?<!\w)(?:\d{1,6}[ \t])?p\.?\s?o\.?\s?box\s?#?\d{1,6}\b",
        r"(?<!\w)(?:psc|unit|cmr)\s\d{1,5},?\sbox\s\d{1,6}",
        r"(?<!\w)(?:usns|usnv|uss|uscgc)\s[^\W\d_]+(?=\s+[af]po\b)",
        r"(?<!\w)(?:postfach|casilla|apartado|caixa postal|bo[îi]te postale|b\.?p\.)\s?\d{1,6}\b",
    )
)
_MONTHS = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b"
)
_NUMBERED = re.compile(
    rf"(?<![\w.,])\d{{1,6}}{_GAP}(?!{_MONTHS})(?:[^\W\d_a-z][\w.'’-]*{_GAP}){{1,4}}\d{{1,5}}(?![\w.,]*\d)(?i:{_LAST})"
)
"""A capitalised name between two numbers at the end of a line: house or street number in a form that is not listed."""
_LIVED_AT = re.compile(
    rf"\b(?:liv(?:es?|ed|ing)|resid(?:es?|ed|ing)|located|offices? (?:is|are)|delivered|sent|shipped|moved|"
    rf"return(?:ed)?)\s(?:on|at|to)\s(?P<street>(?:\d{{1,6}}{_GAP})?(?:{_WORD}{_GAP}){{1,4}}?\d{{1,5}}(?!\w))",
    re.IGNORECASE,
)
"""A name and a number where somebody lives or something is sent to."""
_FLAT = re.compile(
    r"(?<!\w)(?:apt|apartment|suite|ste|unit|flat|floor|fl|room|rm|building|bldg|tower|wing|block)\b\.?\s?#?\s?\d{1,6}[a-z]?\b",
    re.IGNORECASE,
)
_MILITARY = re.compile(r"\b[afd]po\sa[aep]\s\d{5}(?:-\d{4})?\b", re.IGNORECASE)
_SMALL = frozenset({"de", "la", "le", "of", "and", "am", "an", "der", "do", "da", "nan", "d"})
_SEPARATOR = re.compile(r"\.?[\s,;>|?*/-]{1,12}")
_LINE = re.compile(r"(?:[^\n,;>|?*.]|\.(?!\s|$)){1,40}")
_BIG = r"\(?[^\W_a-zà-öø-ÿ][^\s,;>|?*:.]*"
_PLACE_WORDS = re.compile(rf"{_BIG}(?:[ \t](?:{_BIG}|d[aeo]l?|la|le|nad|am|of|and|u|v)(?=[\s,.]|$)){{0,4}}(?!:)")
_CODE_LINE = re.compile(
    r"(?:\(?[^\W\d_][\w.'’()-]*\s){0,4}?(?:[A-Z]{1,3}[- ]?)?\d{3,7}(?:[- ]?[A-Z]{2}|-\d{2,4})?\b(?![\w:-]*\d)"
)
_MAX_LINES = 6


def find_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Spans, perhaps overlapping; an address over several lines is one of them."""
    is_lower = text == text.lower()
    for pattern in (*_CORES, _NUMBERED, _FLAT):
        for match in pattern.finditer(text):
            yield match.start(), _extended(text, match.end(), is_lower=is_lower, has_street=pattern is not _FLAT)
    for match in _LIVED_AT.finditer(text):
        yield match.start("street"), _extended(text, match.end(), is_lower=is_lower, has_street=True)
    yield from (match.span() for match in _MILITARY.finditer(text))


def _extended(text: str, end: int, *, is_lower: bool, has_street: bool) -> int:
    """Where the address ends: behind flats, behind a city or two on the same line, behind lines up to a postal code.

    Behind a flat two lines of places belong to it without a code, too.
    """
    reached = place = end
    has_flat = False
    num_lines = 0
    for _ in range(_MAX_LINES):
        gap = _SEPARATOR.match(text, place)
        if gap is None:
            break
        if flat := _FLAT.match(text, gap.end()):
            reached = place = flat.end()
            has_flat = True
            continue
        if "." in gap[0]:
            break
        code = _CODE_LINE.match(text, gap.end())
        if code and _is_place(code[0], is_lower=is_lower):
            return code.end()
        line = (_LINE if is_lower else _PLACE_WORDS).match(text, gap.end())
        if line is None or not _is_place(line[0], is_lower=is_lower):
            break
        place = line.end()
        num_lines += "\n" in gap[0]
        if has_street and not is_lower and ("," in gap[0] or has_flat) and num_lines <= 2 * has_flat:
            reached = place
    return reached


def _is_place(line: str, *, is_lower: bool) -> bool:
    """A city, a state, a country, a postal code: a few words that begin with capitals or digits, and no sentence."""
    words = line.split()
    return 0 < len(words) <= 5 and ":" not in line and all(is_lower or _begins_place(word) for word in words)


def _begins_place(word: str) -> bool:
    letters = word.strip("().'’")
    return not letters or not letters[0].islower() or letters in _SMALL
