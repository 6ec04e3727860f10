"""One quick run of all attacks, for all who look at its figures."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from frag.settings import ModelSettings
from server.cli import app


@pytest.fixture(scope="session")
def quick_audit(real_models: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """`frag audit --quick --json`: attack → mode → figures."""
    assert real_models.threads == 1
    out = tmp_path_factory.mktemp("audit")
    result = CliRunner().invoke(app, ["audit", "--quick", "--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found
