"""Which models are listed, by who is connected and what they allow."""

import pytest

from frag.settings import CoordinatorSettings
from frag.types import AnswerMode
from server.coordinator.openai.models import answerable
from server.wire.messages import KeywordTerms, Ready

SCRUB, CONSENSUS, DP = AnswerMode.SCRUB, AnswerMode.CONSENSUS, AnswerMode.DP
TERMS = KeywordTerms(rho=0.1, colluders=0, epsilon=1.0, delta=1e-5, is_pinned=False)


def node(*modes: AnswerMode, withholds: str = "", keywords: KeywordTerms | None = None) -> Ready:
    return Ready(
        version="1",
        answer_modes=modes,
        embedder_fingerprint="e",
        num_documents=1,
        withholds=withholds,
        keywords=keywords,
    )


USUAL = ["frag", "frag:scrub", "frag:synthesize"]


@pytest.mark.parametrize(
    ("nodes", "names"),
    [
        ([], []),
        ([node(SCRUB)], USUAL),
        ([node(AnswerMode.NONE)], ["frag:none"]),
        ([node(SCRUB, withholds="release_stopped")], []),
        ([node(CONSENSUS)], []),
        ([node(CONSENSUS), node(CONSENSUS)], ["frag:consensus"]),
        ([node(CONSENSUS), node(SCRUB)], USUAL),
        ([node(DP, keywords=TERMS)] * 2, ["frag:dp"]),
        ([node(DP, keywords=TERMS)] * 3, ["frag:dp", "frag:dp-keywords"]),
        ([node(DP)] * 3, ["frag:dp"]),
    ],
)
def test_only_what_connected_nodes_could_answer_is_listed(nodes: list[Ready], names: list[str]) -> None:
    connected = {f"n{number}": ready for number, ready in enumerate(nodes)}
    assert list(answerable(CoordinatorSettings(), connected, {})) == names


def test_two_nodes_of_one_operator_are_no_consensus() -> None:
    connected = {"a": node(CONSENSUS), "b": node(CONSENSUS)}
    assert list(answerable(CoordinatorSettings(), connected, {"a": "trust", "b": "trust"})) == []


def test_what_the_federation_forbids_is_never_listed() -> None:
    settings = CoordinatorSettings(answer_modes=(CONSENSUS,))
    connected = {name: node(*AnswerMode) for name in ("a", "b")}
    assert list(answerable(settings, connected, {})) == ["frag", "frag:consensus"]
