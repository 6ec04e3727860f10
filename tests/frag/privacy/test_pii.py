import os
import re
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings

from frag.errors import ModelError, SettingsError
from frag.models.cache import model_folder
from frag.policy_settings import DEFAULT_ENTITY_TYPES
from frag.privacy.entities import ENTITY_TYPES, RECOGNIZER_CLASSES
from frag.privacy.pii import PresidioRedactor, redact
from tests.frag.privacy.canaries import identifiers, surroundings

MODEL_FOLDER = model_folder("en-core-web-sm")
MODEL_MISSING = not (MODEL_FOLDER.is_dir() and any(MODEL_FOLDER.rglob("config.cfg")))
needs_model = pytest.mark.skipif(
    MODEL_MISSING, reason=f"no named-entity model in {MODEL_FOLDER}: run `frag models pull en-core-web-sm`"
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def redactor() -> Iterator[PresidioRedactor]:
    """Made and used without a network: any attempt to connect fails the test."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the redactor must not use the network")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield PresidioRedactor(MODEL_FOLDER, DEFAULT_ENTITY_TYPES)


@needs_model
@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (
            "Dr. Jane Smith (jane.smith@clinic.example, SSN 123-45-6789) called John Brown.",
            "Dr. <PERSON_1> (<EMAIL_ADDRESS_1>, SSN <US_SSN_1>) called <PERSON_2>.",
        ),
        ("hello, my name is peter pan and i am ill", "hello, my name is <PERSON_1> and i am ill"),
        ("Ask mr brown about it.", "Ask mr <PERSON_1> about it."),
        ("Her passport number is 912803456.", "Her passport number is <US_PASSPORT_1>."),
        ("Pay 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa now", "Pay <CRYPTO_1> now"),
        ("<PERSON_1> met John Brown.", "<PERSON_1> met <PERSON_2>."),
        ("In May 2019 the Germans met in Paris at Siemens.", "In May 2019 the Germans met in Paris at Siemens."),
        ("Take 5 mg every 12 hours for 10 days.", "Take 5 mg every 12 hours for 10 days."),
        ("Ring 0494 92 82 32 or 467 3395.", "Ring <PHONE_NUMBER_1> or <PHONE_NUMBER_2>."),
        ("Omar Khayyam's age (1048-1131) knew 1 000 000 stars.", None),
        ("", ""),
    ],
)
def test_redaction_by_the_default_policy(redactor: PresidioRedactor, text: str, redacted: str | None) -> None:
    if redacted is None:
        assert "PHONE_NUMBER" not in redact(text, redactor.find(text))[1]
    else:
        assert redact(text, redactor.find(text))[0] == redacted


@needs_model
@settings(max_examples=30, deadline=None)
@given(before=surroundings, canary=identifiers, after=surroundings)
def test_every_planted_identifier_is_found(redactor: PresidioRedactor, before, canary, after) -> None:
    text = f"{before} {canary[1]} {after}"
    start = len(before) + 1
    end = start + len(canary[1])
    assert any(first <= start and end <= last for first, last, _ in redactor.find(text))


@needs_model
def test_threads_may_share_it(redactor: PresidioRedactor) -> None:
    texts = [f"Jane Smith saw patient {index} on Monday." for index in range(16)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(redactor.find, texts)) == [redactor.find(text) for text in texts]


@needs_model
def test_all_known_types_have_a_recogniser() -> None:
    text = "Dr. Anna Miller lives in Berlin since May 2019."
    _, counts = redact(text, PresidioRedactor(MODEL_FOLDER, ENTITY_TYPES).find(text))
    assert counts == {"PERSON": 1, "LOCATION": 1, "DATE_TIME": 1}
    assert set(DEFAULT_ENTITY_TYPES) <= set(ENTITY_TYPES)


def test_recogniser_classes_find_the_type_that_they_are_listed_for() -> None:
    recognizers = pytest.importorskip("presidio_analyzer").predefined_recognizers
    for kind, name in RECOGNIZER_CLASSES.items():
        assert getattr(recognizers, name)(supported_language="en").supported_entities == [kind]


def test_a_missing_model_is_said_and_never_downloaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(str(tmp_path))) as caught:
        PresidioRedactor(tmp_path / "en-core-web-sm", DEFAULT_ENTITY_TYPES)
    assert caught.value.mend == "Run `frag models pull en-core-web-sm`."


@needs_model
@pytest.mark.parametrize("damaged", ["config.cfg", "meta.json", "ner/model", "tok2vec/model", "vocab/strings.json"])
@pytest.mark.parametrize("left", [b"", b"\x93not what it was"])
def test_a_damaged_model_is_said(tmp_path: Path, damaged: str, left: bytes) -> None:
    pipeline = min(MODEL_FOLDER.rglob("config.cfg"), key=lambda path: len(path.parts)).parent
    copy = tmp_path / "model"
    shutil.copytree(pipeline, copy, copy_function=os.symlink)
    (copy / damaged).unlink()
    (copy / damaged).write_bytes(left)
    with pytest.raises(ModelError, match="cannot be read"):
        PresidioRedactor(copy, DEFAULT_ENTITY_TYPES)


def test_an_unknown_type_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SHOE_SIZE"):
        PresidioRedactor(tmp_path, ("PERSON", "SHOE_SIZE"))
