"""Who may speak to the node's own API."""

from tests.server.node.local.conftest import View

READS = ["/status", "/documents", "/journal"]


async def test_nothing_is_said_without_the_token(view: View) -> None:
    for path in READS:
        for header in ("", "Bearer ", "Bearer wrong", f"Basic {view.token}", f"Bearer {view.token}x"):
            status, said = await view.call("GET", path, headers={"Authorization": header})
            assert (status, said["code"]) == (401, "not_authenticated")
        assert (await view.call("GET", path))[0] == 200


async def test_another_page_gets_nothing_even_with_the_token(view: View) -> None:
    for headers in (
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "localhost.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        given = {"Authorization": f"Bearer {view.token}", **headers}
        for method, path in (("GET", "/status"), ("POST", "/release/stop"), ("DELETE", "/documents/notes/a.txt")):
            status, said = await view.call(method, path, headers=given, json={})
            assert (status, said["code"]) == (403, "not_permitted"), headers
    assert not view.gate.stopped


async def test_the_own_page_gets_an_answer(view: View) -> None:
    port = view.url.rsplit(":", 1)[1]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        headers = {"Authorization": f"Bearer {view.token}", "Host": host, "Origin": f"http://{host}"}
        assert (await view.call("GET", "/status", headers={**headers, "Sec-Fetch-Site": "same-origin"}))[0] == 200


async def test_the_page_carries_a_strict_policy_and_no_secret(view: View) -> None:
    for path in ("/", "/app.js", "/app.css"):
        async with view.session.get(view.url + path) as answer:
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Access-Control-Allow-Origin" not in answer.headers
            text = await answer.text()
            assert view.token not in text
            assert "alpha" not in text
    async with view.session.get(view.url + "/", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403
        assert "Content-Security-Policy" in answer.headers


async def test_only_the_owner_reads_token_and_address(view: View) -> None:
    for file in (view.folder.local_token, view.folder.local_address, view.folder.journal):
        assert file.stat().st_mode & 0o077 == 0
    assert len(view.token) >= 43
    assert view.url.startswith("http://127.0.0.1:")
