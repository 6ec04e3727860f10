"""`frag coordinator key`: who holds one is shown, the key itself never again."""

import json
from pathlib import Path

from typer.testing import CliRunner

from server.cli import app


def test_keys_are_listed_by_label_and_never_shown(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["coordinator", *words, "--folder", str(tmp_path / "c")])
        assert done.exit_code == 0, done.output
        return done.output

    run("init")
    secret = run("key", "add", "alice", "--scope", "train", "--scope", "query").strip()
    run("key", "add", "bob")
    run("key", "revoke", "bob")
    shown, listed = run("key", "list"), run("key", "list", "--json")
    keys = json.loads(listed)["keys"]
    assert [(key["label"], key["scopes"], bool(key["revoked_at"])) for key in keys] == [
        ("admin", ["admin"], False),
        ("alice", ["query", "train"], False),
        ("bob", ["query"], True),
    ]
    assert all(key["created_at"] for key in keys)
    assert all(label in shown for label in ("admin", "alice", "bob", "query, train", keys[2]["revoked_at"][:10]))
    assert secret.startswith("frag_")
    assert secret not in shown + listed
