"""Events of a text under way: the asker's own words, in pieces that add up."""

from frag.privacy.questions import ScrubbedQuestion
from server.coordinator.following import TextEvents

SCRUBBED = ScrubbedQuestion("", {"PERSON": 1}, {"<PERSON_Q1>": "Ada"})


def test_pieces_add_up_and_a_placeholder_is_never_cut() -> None:
    told: list[tuple[str, object]] = []
    events = TextEvents(lambda name, payload: told.append((name, payload)), SCRUBBED)
    text = "Yes, <PERSON_Q1> may, if 3 < 5."
    for end in range(1, len(text) + 1):
        events.written(text[:end])
    pieces = [payload["text"] for _, payload in told]  # type: ignore[index]
    assert "".join(pieces) == "Yes, Ada may, if 3 < 5."[: len("".join(pieces))]
    assert "Ada" in pieces
    assert not any("PERSON" in piece for piece in pieces)


def test_a_text_that_changed_starts_anew() -> None:
    told: list[tuple[str, object]] = []
    events = TextEvents(lambda name, payload: told.append((name, payload)), SCRUBBED)
    for text in ("One two", "One three"):
        events.written(text)
    events.settled("One.")
    events.settled("One. Two.")
    events.settled("One. Two.")
    assert told == [
        ("token", {"text": "One two"}),
        ("token", {"text": "One three", "restart": True}),
        ("settled", {"text": "One."}),
        ("settled", {"text": " Two."}),
    ]
