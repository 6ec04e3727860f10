"""The node's policy: collections narrow it, never widen it; the rate holds."""

from pathlib import Path

from frag.policy_settings import CollectionSettings, PolicySettings
from frag.types import AnswerMode
from server.node.policy import NodePolicy


def collection(name: str, *modes: AnswerMode) -> CollectionSettings:
    return CollectionSettings(name=name, folder=Path(), answer_modes=modes or None)


def test_a_collection_is_searched_only_in_its_modes() -> None:
    rules = PolicySettings(answer_modes=(AnswerMode.NONE, AnswerMode.SCRUB))
    policy = NodePolicy(rules, [collection("open"), collection("closed", AnswerMode.SCRUB)])
    assert policy.admit(AnswerMode.NONE) == (["open"], "")
    assert policy.admit(AnswerMode.SCRUB) == (["open", "closed"], "")


def test_a_collection_cannot_allow_what_the_policy_forbids() -> None:
    policy = NodePolicy(PolicySettings(), [collection("notes", AnswerMode.NONE)])
    assert policy.admit(AnswerMode.NONE) == ([], "mode_not_allowed")
    assert policy.modes() == ()


def test_a_node_without_collections_says_so() -> None:
    assert NodePolicy(PolicySettings(), []).admit(AnswerMode.SCRUB) == ([], "no_documents")


def test_questions_beyond_the_rate_are_withheld() -> None:
    policy = NodePolicy(PolicySettings(questions_per_minute=20), [collection("notes")])
    outcomes = [policy.admit(AnswerMode.SCRUB)[1] for _ in range(5)]
    assert outcomes == ["", "", "rate_limited", "rate_limited", "rate_limited"]
