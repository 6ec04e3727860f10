"""`frag roster` as operators use it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from frag.errors import BadRequestError, ConflictError
from server.cli import app


def frag(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["roster", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_two_operators_sign_and_the_exit_code_says_when_it_holds(tmp_path: Path) -> None:
    public = {name: frag("key", tmp_path / f"{name}.key").stdout.strip() for name in ("ann", "bob")}
    assert (tmp_path / "ann.key").stat().st_mode & 0o777 == 0o600
    file, node = tmp_path / "roster.json", "0" * 64
    operators = [part for name, key in public.items() for part in ("--operator", f"{name}={key}")]
    frag("create", file, "--federation", "clinics", "--node", f"lakeview={node}", *operators)
    assert frag("verify", file).exit_code == 5
    assert "missing: bob" in frag("sign", file, "--label", "ann", "--key", tmp_path / "ann.key").stdout
    frag("sign", file, "--label", "bob", "--key", tmp_path / "bob.key")
    verified = frag("verify", file, "--json")
    assert verified.exit_code == 0
    assert json.loads(verified.stdout)["nodes"] == {"lakeview": node}
    assert "bob" in frag("verify", file).stdout


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ann.key").write_bytes(b"there")
    with pytest.raises(ConflictError):
        frag("key", tmp_path / "ann.key")
    (tmp_path / "signed.json").write_text("signed by everyone")
    with pytest.raises(ConflictError):
        frag(
            "create",
            tmp_path / "signed.json",
            "--federation",
            "c",
            "--node",
            "a=" + "0" * 64,
            "--operator",
            "o=" + "1" * 64,
        )
    assert (tmp_path / "signed.json").read_text() == "signed by everyone"
    twice = ("--node", "a=" + "0" * 64, "--node", "b=" + "0" * 64)
    with pytest.raises(BadRequestError, match="same key"):
        frag("create", tmp_path / "twice.json", "--federation", "c", *twice, "--operator", "o=" + "1" * 64)
    for node in ("lakeview", "Lake View=" + "0" * 64, "lakeview=0"):
        with pytest.raises(BadRequestError):
            frag("create", tmp_path / "r", "--federation", "f", "--node", node, "--operator", "ann=" + "0" * 64)
