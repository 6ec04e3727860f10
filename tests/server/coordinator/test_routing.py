"""`route = "top:m"` at the coordinator: by topic, among profiles that compare, and never without an embedder."""

from pathlib import Path

import msgspec
import pytest

from frag.errors import BadRequestError
from frag.routing import ANCHOR_TEXTS, ANCHORS_ID, NUM_ANCHORS, Chooser, Profile
from frag.settings import ModelSettings
from server.coordinator.embedding import LazyEmbedder
from server.coordinator.links import WebSocketLink
from server.coordinator.routing import Router, counts_of
from server.wire.messages import Ready
from tests.doubles import HashingEmbedder
from tests.server.in_process import InProcessFederation, in_process, says

EMBEDDER = HashingEmbedder(512)


@pytest.fixture(autouse=True)
def light_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.node.assembly.load_embedder", lambda _models: EMBEDDER)


class Link:
    def __init__(
        self, node_id: str, topic: int | None, fingerprint: str = EMBEDDER.fingerprint, size: int = 50
    ) -> None:
        self.node_id = node_id
        counts = [size if number == topic else 0 for number in range(NUM_ANCHORS)]
        self.ready = Ready(
            version="1",
            answer_modes=(),
            embedder_fingerprint=fingerprint,
            num_documents=size,
            profile=None if topic is None else Profile(anchors=ANCHORS_ID, counts=tuple(counts)),
        )


async def chosen(router: Router, links: list[Link], topic: int, number: int) -> list[str]:
    return [link.node_id for link in await router.choose(ANCHOR_TEXTS[topic], links, number)]  # type: ignore[arg-type]


def router() -> Router:
    return Router(LazyEmbedder(ModelSettings()), Chooser(explore=0.0))


async def test_the_node_with_the_topic_is_asked() -> None:
    links = [Link("a", 3), Link("b", 20), Link("c", 40)]
    assert await chosen(router(), links, 20, 1) == ["b"]
    assert await chosen(router(), links, 20, 3) == ["a", "b", "c"]


async def test_profiles_that_do_not_compare_are_not_compared() -> None:
    stranger = Link("a", 20, fingerprint="another")
    other_list = Link("b", 20)
    other_list.ready = msgspec.structs.replace(
        other_list.ready, profile=Profile(anchors="0" * 16, counts=(10**9,) * NUM_ANCHORS)
    )
    assert counts_of(stranger, EMBEDDER.fingerprint) is None  # type: ignore[arg-type]
    assert counts_of(other_list, EMBEDDER.fingerprint) is None  # type: ignore[arg-type]


async def test_without_an_embedder_it_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    from frag.errors import ModelError

    def missing(_models: ModelSettings) -> None:
        raise ModelError("It is missing.")

    monkeypatch.setattr("server.node.assembly.load_embedder", missing)
    with pytest.raises(BadRequestError, match="frag models pull"):
        await chosen(router(), [Link("a", 1), Link("b", 2)], 1, 1)


def announce(federation: InProcessFederation, node_id: str, topic: int) -> None:
    link = federation.state.registry.link(node_id)
    assert isinstance(link, WebSocketLink)
    profile = Link(node_id, topic).ready.profile
    link._ready = msgspec.structs.replace(link.ready, profile=profile, embedder_fingerprint=EMBEDDER.fingerprint)


async def test_a_routed_question_reaches_the_chosen_nodes_only(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        federation.state.query.router._chooser = Chooser(explore=0.0)
        heart, star = await federation.join("heart", says("beats")), await federation.join("star", says("shines", 0.9))
        announce(federation, "heart", 0)
        announce(federation, "star", 31)
        status, body = await federation.ask(question=ANCHOR_TEXTS[31], route="top:1")
        refused, problem = await federation.ask(question="q", route="best")
        _, everyone = await federation.ask(question="q")
    assert (status, body["answer"], body["not_asked"]) == (200, "shines", ["heart"])
    assert len(heart.asked) == 1
    assert len(star.asked) == 2
    assert (refused, problem["code"]) == (422, "bad_request")
    assert everyone["not_asked"] == []
    assert federation.state.query.router.weight("star") > federation.state.query.router.weight("heart")
