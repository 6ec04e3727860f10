"""What the console reads: who one is, what nodes did, what went live, and the audit log with its chain."""

from pathlib import Path

from server.coordinator.auth import hash_api_key, new_api_key
from tests.server.in_process import InProcessFederation, in_process, says, withholds


async def narrow_key(federation: InProcessFederation) -> str:
    key = new_api_key()
    await federation.state.database.add_key("asker", hash_api_key(key), frozenset({"query"}))
    return key


async def test_a_key_is_told_its_scopes_and_sees_no_more_than_they_allow(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        key = await narrow_key(federation)
        status, seen = await federation.get("/v1/whoami", key)
        assert (status, seen["label"], seen["scopes"]) == (200, "asker", ["query"])
        for path in ("/v1/activity", "/v1/admin/audit"):
            status, problem = await federation.get(path, key)
            assert (status, problem["code"]) == (403, "not_permitted")
        for path in ("/v1/whoami", "/v1/activity", "/v1/promotions", "/v1/admin/audit"):
            status, problem = await federation.get(path, "frag_nonsense")
            assert (status, problem["code"]) == (401, "not_authenticated")


async def test_replies_are_counted_by_node_and_kind_and_hold_no_text(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("In the Zirconquail cellar."))
        await federation.join("b", withholds("no_evidence"))
        for _ in range(2):
            assert (await federation.ask(question="Where are the keys of Zirconquail?"))[0] == 200
        status, seen = await federation.get("/v1/activity")
        assert status == 200
        by_node = {row["node"]: row for row in seen["nodes"]}
        assert sum(by_node["a"]["answered"].values()) == 2
        assert by_node["b"]["withheld"] == {"no_evidence": 2}
        assert "Zirconquail" not in str(seen)


async def test_the_audit_log_is_paged_newest_first_and_says_whether_its_chain_holds(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.enroll("a")
        await federation.enroll("b")
        status, page = await federation.get("/v1/admin/audit?limit=2")
        assert (status, len(page["entries"]), page["more"], page["intact"]) == (200, 2, True, True)
        ids = [entry["id"] for entry in page["entries"]]
        assert ids == sorted(ids, reverse=True)
        _, rest = await federation.get(f"/v1/admin/audit?limit=500&before={ids[-1]}")
        assert len(rest["entries"]) == page["num_entries"] - 2
        for wrong in ("limit=0", "limit=501", "limit=x"):
            status, problem = await federation.get(f"/v1/admin/audit?{wrong}")
            assert (status, problem["code"]) == (422, "bad_request")
