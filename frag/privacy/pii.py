"""Finds personal data with Presidio: names by a spaCy model from a local folder, identifiers by their form.

Nothing here reaches the network: the model is loaded from its folder (Presidio would download it and exit the
process), and the recognisers that ask for a public-suffix list or log what they read (e-mail, URL, IBAN) are
ours instead. What a statistical model finds it also misses: most names, not all.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from frag.errors import ModelError
from frag.privacy.entities import NER_TYPES, RECOGNIZER_CLASSES, check_entity_types
from frag.privacy.name_lexicon import name_lexicon
from frag.privacy.names import NameFinder
from frag.privacy.patterns import PatternRedactor
from frag.privacy.phones import PhoneFinder
from frag.privacy.redaction import PLACEHOLDER, Span, redact, resolve_overlaps

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine
    from spacy.language import Language
    from spacy.tokens import Doc

__all__ = ["PatternRedactor", "PresidioRedactor", "redact"]

NameSearch = Literal["thorough", "model"]
MIN_SCORE = 0.4
"""Presidio's score from which a span counts: forms that need a context word reach it only beside one."""

_LANGUAGE = "en"
_UNUSED_PIPES = ("tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
_NAME = r"\w[\w'\u2019-]+"
_NO_NAME = r"(?!(?i:a|an|the|not|and|i|but|from|with|is|in|at|on|to)\b)"
_INTRODUCED = re.compile(
    rf"\b(?i:(?:my|maiden|last|first|family|full|patient) name(?: is|'s|:|\?)|calls me)"
    rf"\s+({_NO_NAME}{_NAME}(?:\s+{_NO_NAME}{_NAME})?)"
    rf"|\b(?i:mr|mrs|ms|miss|dr|prof)\b\.?\s+({_NO_NAME}{_NAME}(?:\s+[A-Z][\w'\u2019-]*\.?){{0,2}})"
)


class PresidioRedactor:
    """Finds persons and all other types that a policy names. Thread-safe: one text at a time.

    Args:
        model_folder: A spaCy pipeline with a named-entity recogniser (`config.cfg`) in this folder or below.
        entity_types: The types to look for; see `frag.privacy.entities.ENTITY_TYPES`.
        min_score: Presidio's score in [0, 1] from which a span counts.
        names: `thorough` adds `NameFinder` to the model; `model` leaves more of texts about the world as they are.

    Raises:
        SettingsError: `entity_types` names a type that nothing finds.
        ModelError: The folder has no readable pipeline.
    """

    def __init__(
        self,
        model_folder: Path,
        entity_types: Iterable[str],
        *,
        min_score: float = MIN_SCORE,
        names: NameSearch = "thorough",
    ) -> None:
        self._entity_types = tuple(dict.fromkeys(entity_types))
        check_entity_types(self._entity_types)
        self._patterns = PatternRedactor(self._entity_types)
        self._by_presidio = [kind for kind in self._entity_types if kind in RECOGNIZER_CLASSES or kind in NER_TYPES]
        self._phones = PhoneFinder() if "PHONE_NUMBER" in self._entity_types else None
        self._min_score = min_score
        self._lock = Lock()
        pipeline = _load_pipeline(model_folder)
        self._analyzer = _make_analyzer(pipeline, self._by_presidio)
        self._names = None
        if names == "thorough" and "PERSON" in self._entity_types:
            # a copy: the pipeline's own table takes in every word that it reads
            self._names = NameFinder(name_lexicon(), frozenset(pipeline.vocab.strings))

    def find(self, text: str) -> list[Span]:
        """Disjoint (start, end, TYPE) in order. Placeholders already in the text are left alone."""
        spans = [*self._patterns.find(text), *self._analyze(text)]
        if "PERSON" in self._entity_types:
            spans += _introduced_names(text)
        if self._phones is not None:
            # almost any row of digits can be a phone number; one that is known as something else is not
            phones = [(start, end, "PHONE_NUMBER") for start, end in self._phones.find(text)]
            spans += [phone for phone in phones if not any(_within(phone, span) for span in spans)]
        return resolve_overlaps(spans)

    def _analyze(self, text: str) -> list[Span]:
        if not self._by_presidio or not text.strip():
            return []
        with self._lock:
            read = self._analyzer.nlp_engine.process_text(text, _LANGUAGE)
            results = self._analyzer.analyze(
                text,
                _LANGUAGE,
                entities=self._by_presidio,
                score_threshold=self._min_score,
                nlp_artifacts=read,
            )
        held = [match.span() for match in PLACEHOLDER.finditer(text)]
        found: list[Span] = [(result.start, result.end, result.entity_type) for result in results]
        if self._names is not None:
            entities = [(entity.start_char, entity.end_char, entity.label_) for entity in read.tokens.ents]
            found += self._names.find(text, entities)
        return [span for span in found if not any(span[0] < end and start < span[1] for start, end in held)]


def _within(inner: Span, outer: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _introduced_names(text: str) -> Iterator[Span]:
    """Names that their introduction gives away, in any case: named-entity models rely on capitals."""
    for match in _INTRODUCED.finditer(text):
        start, end = match.span(match.lastindex or 0)
        yield start, end, "PERSON"


def _load_pipeline(model_folder: Path) -> "Language":
    """The spaCy pipeline, without the parts that redaction does not read.

    Raises:
        ModelError: There is none, or it is damaged.
    """
    import spacy

    try:
        return spacy.load(_folder_with_config(model_folder), exclude=_UNUSED_PIPES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise ModelError(
            f"The named-entity model in {model_folder} cannot be read ({type(error).__name__}).",
            "Run `frag models pull en-core-web-sm`.",
        ) from error


def _folder_with_config(model_folder: Path) -> Path:
    """An unpacked wheel has the pipeline two folders down."""
    configs = sorted(model_folder.rglob("config.cfg"), key=lambda path: (len(path.parts), path))
    if not configs:
        raise FileNotFoundError("config.cfg")
    return configs[0].parent


def plain_analyzer(model_folder: Path) -> "AnalyzerEngine":
    """Presidio's own recognisers over the same model, for comparison. E-mail is left out: it asks the network.

    Raises:
        ModelError: The folder has no readable pipeline.
    """
    analyzer = _make_analyzer(_load_pipeline(model_folder), [])
    from presidio_analyzer import predefined_recognizers

    for name in ("CreditCardRecognizer", "UsSsnRecognizer", "PhoneRecognizer", "IbanRecognizer"):
        analyzer.registry.add_recognizer(getattr(predefined_recognizers, name)(supported_language=_LANGUAGE))
    return analyzer


def _make_analyzer(pipeline: "Language", entity_types: list[str]) -> "AnalyzerEngine":
    """A Presidio engine with exactly the recognisers that the policy needs."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from spacy.language import Language

    mapping = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "NORP": "NRP", "ORG": "ORGANIZATION"}
    mapping |= {"DATE": "DATE_TIME", "TIME": "DATE_TIME"}
    ignored = set(pipeline.get_pipe("ner").labels) - set(mapping)
    engine = SpacyNlpEngine(
        models=[{"lang_code": _LANGUAGE, "model_name": pipeline.meta["name"]}],
        ner_model_configuration=NerModelConfiguration(
            labels_to_ignore=ignored, model_to_presidio_entity_mapping=mapping
        ),
    )
    Language.component("frag_lower_case_lemmas", func=_lower_case_lemmas)
    pipeline.add_pipe("frag_lower_case_lemmas")
    engine.nlp = {_LANGUAGE: pipeline}
    recognizers = [
        getattr(predefined_recognizers, RECOGNIZER_CLASSES[kind])(supported_language=_LANGUAGE)
        for kind in entity_types
        if kind in RECOGNIZER_CLASSES
    ]
    recognizers.append(predefined_recognizers.SpacyRecognizer(supported_language=_LANGUAGE))
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=[_LANGUAGE])
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[_LANGUAGE])


def _lower_case_lemmas(doc: "Doc") -> "Doc":
    """Presidio looks for context words ("passport") in the lemmas; lower case does, and costs no tagger."""
    for token in doc:
        token.lemma_ = token.lower_
    return doc
