"""Given names and surnames of some eighty languages, and the words that are names only beside another one.

The lists are those of Faker (MIT licence), read once and never written from.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

ALSO_WORDS = frozenset(
    """
    abbot address africa america and angel april art asia august austin baker bank banks bean bell berry best
    better big bill billing bishop black bond boogie brown bush butler can carmel carolina carter case cash chad
    chase china christian church cook court dakota dallas dawn day dean destiny do doctor dollar dr drive early
    ed email eve ever faith farmer fax field fields fisher flood florence ford forest frank frost garden gardens
    general georgia good grace gray green grey guy hall harmony he here hill hope houston hunter i in india
    ireland is israel it jack jersey jordan joy judge june kenya king knight lady lake lane law lee lima lincoln
    london long lord love madison main major man march mark mason may melody men mercy milan mill miller mobile
    moody name next noble noon north number of on or orlando page paris park penny phone pope porter power
    powers president press price prince professor queen rain ray rice rich river rivers rob roma rose rush saint
    salesperson san sang savannah sharp she shell sing sir sky small snow so son sons south spring st star stone
    storm street strong summer sun sunday sunny swift sydney tales tel temple to trinity true union university
    van victoria virgin virginia wang washington we weaver weeks west white will winter wise wood woods yang you
    young
    """.split()  # noqa: SIM905 (a list of words reads better as words)
)
"""Lower case. They never mark a name by themselves."""


@dataclass(frozen=True, slots=True)
class NameLexicon:
    """Lower case."""

    given: frozenset[str] = field(repr=False)
    family: frozenset[str] = field(repr=False)


@lru_cache(maxsize=1)
def name_lexicon() -> NameLexicon:
    """Some 30,000 of each. Takes a few tenths of a second the first time."""
    found: dict[str, set[str]] = {"first": set(), "last": set()}
    package = import_module("faker.providers.person")
    for module in iter_modules(package.__path__):
        provider = import_module(f"{package.__name__}.{module.name}").Provider
        for attribute in dir(provider):
            kind, _, rest = attribute.partition("_")
            names = getattr(provider, attribute)
            if kind in found and rest.startswith("name") and isinstance(names, tuple | list | dict):
                found[kind].update(name.lower() for name in names if isinstance(name, str))
    return NameLexicon(frozenset(found["first"]), frozenset(found["last"]))
