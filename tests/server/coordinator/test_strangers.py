"""Bad input and strangers: each gets a problem document that says what to do, and nothing crashes."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import AuthenticationError, SettingsError, UnreachableError
from frag.settings import CoordinatorSettings, load_settings
from server.coordinator.auth import hash_api_key, new_api_key
from server.node.client_channel import ClientChannel
from server.node.enroll import enroll
from server.node.state import NodeFolder
from server.wire import identity
from server.wire.codec import encode
from server.wire.handshake import prove_node
from server.wire.messages import Failed
from server.wire.token import EnrollmentToken, new_token, parse_token
from tests.server.in_process import InProcessFederation, in_process, says

GOOD = {"question": "q"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "bad_request"),
        ({"question": ""}, 422, "bad_request"),
        ({"question": "   "}, 422, "bad_request"),
        ({"question": 7}, 422, "bad_request"),
        ({"question": "x" * 8001}, 422, "bad_request"),
        (GOOD | {"top_k": "five"}, 422, "bad_request"),
        (GOOD | {"top_k": 0}, 422, "bad_request"),
        (GOOD | {"top_k": 101}, 422, "bad_request"),
        (GOOD | {"deadline_s": 0}, 422, "bad_request"),
        (GOOD | {"deadline_s": -1}, 422, "bad_request"),
        (GOOD | {"deadline_s": 1e9}, 422, "bad_request"),
        (GOOD | {"min_nodes": 0}, 422, "bad_request"),
        (GOOD | {"nodes": []}, 422, "bad_request"),
        (GOOD | {"nodes": "a"}, 422, "bad_request"),
        (GOOD | {"nodes": ["nobody"]}, 404, "unknown_node"),
        (GOOD | {"answer_mode": "loud"}, 422, "bad_request"),
        (GOOD | {"aggregation": "sum"}, 422, "bad_request"),
        (GOOD | {"retrieval": "magic"}, 422, "bad_request"),
        (GOOD | {"qestion": "typo"}, 422, "bad_request"),
        ([], 422, "bad_request"),
        (b"{not json", 422, "bad_request"),
        (b"\xff\xfe", 422, "bad_request"),
        (b"", 422, "bad_request"),
        (b"[" * 100_000, 422, "bad_request"),
        (b'{"question": "' + b"x" * 10_000_000 + b'"}', 413, "payload_too_large"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_bad_question_is_a_problem_document(tmp_path: Path, body: object, status: int, code: str) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("yes"))
        got, problem = await federation.post("/v1/query", body)
        assert (got, problem["status"], problem["code"]) == (status, status, code)
        assert problem["detail"]
        assert problem["mend"]
        assert (await federation.ask(**GOOD))[0] == 200, "the next question is answered"


async def test_nobody_to_ask_is_said_so(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        status, problem = await federation.ask(**GOOD)
        assert (status, problem["code"]) == (503, "no_nodes")
        assert (await federation.get("/readyz"))[0] == 503
        assert (await federation.get("/healthz"))[0] == 200
        await federation.join("a", says("yes"))
        assert (await federation.get("/readyz"))[0] == 200


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/query", 405)])
async def test_a_wrong_path_or_method_is_a_problem_document(tmp_path: Path, path: str, status: int) -> None:
    async with in_process(tmp_path) as federation:
        got, problem = await federation.get(path)
    assert (got, problem["status"]) == (status, status)
    assert problem["mend"]


async def ask_with(federation: InProcessFederation, header: str | None) -> tuple[int, dict[str, Any], str]:
    headers = {"Authorization": header} if header is not None else {}
    async with federation.session.post(f"{federation.url}/v1/query", json=GOOD, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("WWW-Authenticate", "")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer frag_wrong", "Bearer é"])
async def test_askers_without_a_good_key_stay_out(tmp_path: Path, header: str | None) -> None:
    async with in_process(tmp_path) as federation:
        status, problem, challenge = await ask_with(federation, header)
        assert (status, problem["code"], challenge) == (401, "not_authenticated", "Bearer")
        async with federation.session.get(f"{federation.url}/v1/nodes") as answer:
            assert answer.status == 401


async def test_scopes_revocation_and_rates_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.coordinator.auth._CACHE_S", 0.0)
    async with in_process(tmp_path, {"queries_per_minute": 30}) as federation:
        await federation.join("a", says("yes"))
        trainer, asker = new_api_key(), new_api_key()
        database = federation.state.database
        await database.add_key("trainer", hash_api_key(trainer), frozenset({"train"}))
        await database.add_key("asker", hash_api_key(asker), frozenset({"query"}))
        assert (await federation.post("/v1/query", GOOD, trainer))[0] == 403
        for key, jobs_status in ((trainer, 200), (asker, 403)):
            assert (await federation.get("/v1/prompts", key))[0] == 200, "who trains and who asks may see what is live"
            assert (await federation.get("/v1/jobs", key))[0] == jobs_status
        token_request = {"node": "b", "url": federation.url}
        assert (await federation.post("/v1/admin/tokens", token_request, asker))[0] == 403
        statuses = [(await federation.post("/v1/query", GOOD, asker))[0] for _ in range(6)]
        assert statuses[0] == 200
        assert statuses[-1] == 429
        await database.revoke_key("asker")
        assert (await federation.post("/v1/query", GOOD, asker))[0] == 401


async def test_keys_and_tokens_are_stored_as_hashes_only(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        made = await federation.state.enrollment.make_token("a", federation.url)
        secret = parse_token(made["token"]).secret
        stored = b"".join(p.read_bytes() for p in (tmp_path / "coordinator").glob("coordinator.db*"))
    assert federation.api_key.encode() not in stored
    assert secret not in stored


async def test_a_token_works_once_for_its_node_only(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        made = await federation.state.enrollment.make_token("a", federation.url)
        token = parse_token(made["token"])
        other = EnrollmentToken(
            node_id="b",
            url=token.url,
            coordinator_fingerprint=token.coordinator_fingerprint,
            secret=token.secret,
        )
        with pytest.raises(AuthenticationError, match="another node"):
            await enroll(NodeFolder(tmp_path / "b"), other, None)
        await enroll(NodeFolder(tmp_path / "a"), token, None)
        with pytest.raises(AuthenticationError, match="used up"):
            await enroll(NodeFolder(tmp_path / "a2"), token, None)
        assert not NodeFolder(tmp_path / "a2").settings_file.exists()


async def test_an_expired_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.coordinator.database.TOKEN_LIFETIME", dt.timedelta(seconds=-1))
    async with in_process(tmp_path) as federation:
        with pytest.raises(AuthenticationError, match="expired"):
            await federation.enroll("a")


async def test_a_node_shows_its_token_only_to_the_right_coordinator(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        foreign = new_token("a", federation.url, "ab" * 32)
        with pytest.raises(AuthenticationError, match="not the one that made this token"):
            await enroll(NodeFolder(tmp_path / "a"), foreign, None)
    nobody = new_token("a", "http://127.0.0.1:9", "ab" * 32)
    with pytest.raises(UnreachableError, match="No coordinator can be reached"):
        await enroll(NodeFolder(tmp_path / "a"), nobody, None)


async def test_a_bad_node_name_is_refused(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        for name in ("", "Klinik Süd", "public", "a" * 65, "a/b"):
            body = {"node": name, "url": federation.url}
            status, problem = await federation.post("/v1/admin/tokens", body)
            assert (status, problem["code"]) == (422, "bad_request")


async def close_code(federation: InProcessFederation, frame: bytes | str) -> int | None:
    async with federation.session.ws_connect(f"{federation.url}/v1/connect") as socket:
        await socket.receive_bytes()
        await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        async with asyncio.timeout(5):
            while True:
                message = await socket.receive()
                if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    return socket.close_code


@pytest.mark.parametrize("frame", [b"garbage", "text", b"\x00" * 2_000_000], ids=["bytes", "text", "huge"])
async def test_a_stranger_on_the_node_socket_is_shown_out(tmp_path: Path, frame: bytes | str) -> None:
    async with in_process(tmp_path) as federation:
        assert await close_code(federation, frame) in (1008, 1009)
        await federation.join("a", says("yes"))
        assert (await federation.ask(**GOOD))[0] == 200


async def test_an_unenrolled_node_gets_no_question(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        async with federation.session.ws_connect(f"{federation.url}/v1/connect") as socket:
            stranger = Ed25519PrivateKey.generate()
            pinned = identity.public_bytes(federation.state.key)
            with pytest.raises(AuthenticationError, match="not_enrolled"):
                await prove_node(ClientChannel(socket), "ghost", stranger, pinned, identity.NO_TLS_SPKI)
        assert federation.state.registry.num_connected() == 0


async def test_a_node_that_breaks_the_protocol_loses_its_connection_only(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        folder = await federation.enroll("rogue")
        peer = folder.peer(folder.settings())
        await federation.join("a", says("yes"))
        async with federation.session.ws_connect(f"{federation.url}/v1/connect") as socket:
            await prove_node(ClientChannel(socket), "rogue", peer.key, peer.coordinator_key, identity.NO_TLS_SPKI)
            await socket.send_bytes(encode(Failed(request_id=1, code="too_early")))
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert (await federation.ask(**GOOD, nodes=["a"]))[0] == 200


async def test_revoking_a_node_closes_its_connection_at_once(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("yes"))
        headers = {"Authorization": f"Bearer {federation.api_key}"}
        for expected in (204, 404):
            async with federation.session.delete(f"{federation.url}/v1/admin/nodes/a", headers=headers) as answer:
                assert answer.status == expected
        await federation.until(lambda: federation.state.registry.num_connected() == 0)
        await asyncio.sleep(0.6)  # the node dials again meanwhile
        assert federation.state.registry.num_connected() == 0


async def test_the_audit_log_is_a_chain(tmp_path: Path) -> None:
    from server.coordinator.database import chain_hash

    async with in_process(tmp_path) as federation:
        await federation.join("a", says("yes"))
        entries = await federation.state.database.audit_entries()
    assert [entry.action for entry in entries] == ["key_added", "token_made", "node_enrolled"]
    previous = bytes(32)
    for entry in entries:
        assert entry.entry_hash == chain_hash(previous, entry.at, entry.action, entry.subject)
        previous = entry.entry_hash


def test_an_open_address_needs_tls(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text('host = "0.0.0.0"\n')
    with pytest.raises(SettingsError, match=r"needs \[tls\]"):
        load_settings(CoordinatorSettings, file)
