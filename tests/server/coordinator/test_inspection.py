"""Routes that only read: who may, and what they tell."""

from pathlib import Path

import pytest
from sqlalchemy import update

from server.coordinator.auth import hash_api_key, new_api_key
from server.coordinator.tables import AuditRow
from tests.server.in_process import InProcessFederation, in_process, says, withholds


async def key_for(federation: InProcessFederation, scope: str) -> str:
    key = new_api_key()
    await federation.state.database.add_key(scope, hash_api_key(key), frozenset({scope}))
    return key


async def test_a_key_learns_its_own_scopes_and_a_wrong_one_nothing(tmp_path: Path) -> None:
    async with in_process(tmp_path, {"answer_modes": ["scrub", "dp"]}) as federation:
        status, body = await federation.get("/v1/whoami", await key_for(federation, "query"))
        wrong, _ = await federation.get("/v1/whoami", "frag_wrong")
    assert (status, body["label"], body["scopes"]) == (200, "query", ["query"])
    assert body["answer_modes"] == ["scrub", "dp"]
    assert wrong == 401


@pytest.mark.parametrize(
    ("path", "query", "train"),
    [("/v1/activity", 403, 403), ("/v1/admin/audit", 403, 403), ("/v1/promotions", 200, 200)],
)
async def test_each_route_asks_for_its_scope(tmp_path: Path, path: str, query: int, train: int) -> None:
    async with in_process(tmp_path) as federation:
        assert (await federation.get(path, await key_for(federation, "query")))[0] == query
        assert (await federation.get(path, await key_for(federation, "train")))[0] == train
        assert (await federation.get(path))[0] == 200
        assert (await federation.get(path, "frag_wrong"))[0] == 401


async def test_activity_counts_replies_and_holds_no_text(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("secret words", epsilon=2.5, delta=1e-6))
        await federation.join("b", withholds("no_evidence"))
        await federation.enroll("away")
        for _ in range(2):
            await federation.ask(question="private words")
        _, body = await federation.get("/v1/activity")
    a, away, b = body["nodes"]
    assert (a["answered"], a["epsilon"], a["delta"]) == ({"scrub": 2}, 2.5, 1e-6)
    assert (b["withheld"], b["epsilon"]) == ({"no_evidence": 2}, None)
    assert away["failed"] == {"not_connected": 2}
    assert "words" not in str(body)


async def test_reasons_that_a_node_invents_do_not_grow_without_bound(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        node = await federation.join("a", says("yes"))
        for number in range(40):
            node.script = withholds("x" * (number + 1))
            await federation.ask(question="q")
        _, body = await federation.get("/v1/activity")
    counted = body["nodes"][0]["withheld"]
    assert len(counted) <= 33
    assert sum(counted.values()) == 40


async def test_the_audit_log_is_paged_newest_first_and_tells_of_tampering(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        for number in range(5):
            await federation.enroll(f"node-{number}")
        _, newest = await federation.get("/v1/admin/audit?limit=3")
        _, older = await federation.get(f"/v1/admin/audit?limit=100&before={newest['entries'][-1]['id']}")
        async with federation.state.database.transaction() as session:
            await session.execute(update(AuditRow).where(AuditRow.entry_id == 4).values(subject="somebody"))
        _, forged = await federation.get("/v1/admin/audit")
        wrong = [(await federation.get(f"/v1/admin/audit?{query}"))[0] for query in ("limit=0", "limit=x", "before=y")]
    ids = [entry["id"] for entry in newest["entries"] + older["entries"]]
    assert ids == list(range(newest["num_entries"], 0, -1))
    assert (newest["more"], older["more"], newest["intact"]) == (True, False, True)
    assert newest["entries"][0]["subject"] == "node-4"
    assert (forged["intact"], forged["broken_at"]) == (False, 4)
    assert wrong == [422, 422, 422]


async def test_promotions_tell_what_went_live_in_order(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        _, made = await federation.post("/v1/prompts", {"name": "terse", "instruction": "Be brief."})
        await federation.post(f"/v1/prompts/{made['version']}/promote", {})
        await federation.post("/v1/prompts/rollback", {})
        _, body = await federation.get("/v1/promotions")
    assert [row["version"] for row in body["promotions"]] == [made["version"], ""]
