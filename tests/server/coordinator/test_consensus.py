"""Mode `consensus` and the federation's policy, over scripted nodes and real sockets."""

from pathlib import Path

import pytest

from server.coordinator.embedding import LazyEmbedder
from tests.doubles import HashingEmbedder
from tests.server.in_process import in_process, says, withholds

KEYS = "The porter keeps the keys."


@pytest.fixture(autouse=True)
def _embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LazyEmbedder, "_load", lambda _self: HashingEmbedder())


async def test_only_what_two_say_comes_out_and_no_nodes_own_text(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says(f"{KEYS} The cellar floods."))
        await federation.join("b", says(KEYS))
        await federation.join("c", says("Nobody knows."))
        await federation.join("d", withholds("no_evidence"))
        status, body = await federation.ask(question="Who keeps the keys?", answer_mode="consensus")
    assert status == 200
    assert body["answer"] == KEYS
    assert body["aggregation"] == "consensus"
    assert [(n["node"], n["answer"], n["contributed"]) for n in body["answered"]] == [
        ("a", "", True), ("b", "", True), ("c", "", False),
    ]  # fmt: skip
    assert "cellar" not in str(body)
    assert body["note"].startswith("1 statements came out of 4")
    assert "not differential privacy" in body["promise"]


async def test_without_support_there_is_no_answer(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("Give 5 mg daily."))
        await federation.join("b", says("Give 50 mg daily."))
        _, body = await federation.ask(question="How much?", answer_mode="consensus")
    assert body["answer"] is None
    assert "mg" not in str(body)


async def test_nodes_of_one_operator_count_once(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        for name in ("a", "b"):
            made = await federation.state.enrollment.make_token(name, federation.url, operator="acme")
            await federation.join_by(made["token"], name, says(KEYS))
        status, body = await federation.ask(question="q", answer_mode="consensus")
        assert (status, body["code"]) == (422, "bad_request")
        assert "are run by 1" in body["detail"]
        await federation.join("c", says("Snow falls."))
        _, body = await federation.ask(question="q", answer_mode="consensus")
        assert body["answer"] is None
        await federation.join("d", says(KEYS))
        _, body = await federation.ask(question="q", answer_mode="consensus")
        assert body["answer"] == KEYS


@pytest.mark.parametrize(
    ("body", "mend"),
    [({"min_support": 3}, "Lower min_support"), ({"aggregation": "vote"}, "Leave `aggregation` out")],
)
async def test_what_cannot_be_had_is_refused_before_anybody_is_asked(
    tmp_path: Path, body: dict[str, object], mend: str
) -> None:
    async with in_process(tmp_path) as federation:
        asked = [await federation.join(name, says(KEYS)) for name in ("a", "b")]
        status, problem = await federation.ask(question="q", answer_mode="consensus", **body)
    assert (status, problem["code"]) == (422, "bad_request")
    assert mend in problem["mend"]
    assert not any(node.asked for node in asked)


async def test_the_federation_narrows_the_modes(tmp_path: Path) -> None:
    async with in_process(tmp_path, {"answer_modes": ["consensus", "dp"]}) as federation:
        await federation.join("a", says(KEYS))
        status, problem = await federation.ask(question="q")
        assert (status, problem["code"]) == (403, "not_permitted")
        assert "consensus, dp" in problem["mend"]


async def test_each_answer_says_what_its_mode_promises(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says(KEYS, epsilon=4.0, delta=1e-5))
        await federation.join("b", says(KEYS, epsilon=8.0, delta=1e-6))
        _, scrubbed = await federation.ask(question="q")
        _, private = await federation.ask(question="q", answer_mode="dp")
    assert "not differential privacy" in scrubbed["promise"]
    assert "ε = 8" in private["promise"], "that of the node which promises least"
    assert ["ε = 4" in node["promise"] for node in private["answered"]] == [True, False]
    assert private["aggregation"] == "medoid"
