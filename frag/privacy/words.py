"""Words as keywords see them: folded, without those that carry no meaning, and light of inflection. English."""

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
MAX_WORD_CHARS = 40
_FUNCTION_WORDS = """
a about above after again all also although am an and any are as at be because been before being below between
both but by can cannot could did do does doing done down during each either else ever every few for from
further get got had has have having he her here hers herself him himself his how however i if in into is it
its itself just let like made make many may me might mine more most much must my myself neither nor not now of
off often on once only onto or other our ours ourselves out over own per quite rather said same shall she
should since so some such than that the their theirs them themselves then there therefore these they this
those though through thus to too under until up upon us use used using very was we well were what when where
whether which while who whom whose why will with within without would yet you your yours yourself yourselves
"""
_SILENT = frozenset(_FUNCTION_WORDS.split())


def words(text: str) -> list[str]:
    """Words of a text in their order, case folded, without function words; one that is overlong is left out."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in _WORD.findall(folded) if len(word) <= MAX_WORD_CHARS and bare(word) not in _SILENT]


def bare(word: str) -> str:
    """Without the ending of a possessive."""
    return re.sub(r"['’]s?$|['’]s$", "", word)


def stem(word: str) -> str:
    """A key that forms of one word share; light: it takes a plural off, and the endings -ed and -ing."""
    key = bare(word)
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if key.endswith(ending) and len(key) - len(ending) >= 3 and not key.endswith("ss"):
            key = key[: -len(ending)] + instead
            break
    key = re.sub(r"([bdgmnprt])\1$", r"\1", key)  # running: run
    return key[:-1] if key.endswith("e") and len(key) > 3 else key


def whole_words(tokens: Iterable[str]) -> list[str]:
    """Words of a tokenizer's vocabulary, sorted: letters alone, at least three, no pieces, no function words.

    Args:
        tokens: Of a WordPiece vocabulary (pieces begin with ##).
    """
    return sorted({token for token in tokens if len(token) >= 3 and token.isalpha() and words(token) == [token]})
