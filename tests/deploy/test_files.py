"""What lies in `deploy/` fits the program: metric names, commands, paths, sandbox."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from server.cli import app
from server.telemetry.coordinator import CoordinatorWatch
from server.telemetry.node import NodeWatch

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def metric_names() -> set[str]:
    registries = (CoordinatorWatch().registry, NodeWatch().registry)
    families = [family for registry in registries for family in registry.collect()]
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {f.name + suffix for f in families for suffix in suffixes.get(f.type, ("",))}


def expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "frag.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_metric_of_the_dashboard_exists_and_every_one_of_frag_is_shown() -> None:
    named = set(re.findall(r"\b(?:frag|process)_[a-z_]+", " ".join(expressions())))
    assert named - metric_names() == set()
    bare = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in named}
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in metric_names() if name.startswith("frag_")}
    assert families - bare == set()


def test_the_page_on_operations_names_every_metric() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metric_names() if name.startswith("frag_")}
    assert {name for name in families if name not in page} - {"frag_build_info"} == set()


def is_command(words: list[str]) -> bool:
    return CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_command_in_its_own_folder_and_little_else(unit: Path) -> None:
    parsed = configparser.ConfigParser(strict=True, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit.read_text())
    service = parsed["Service"]
    program, *words = service["ExecStart"].split()
    assert program == "/opt/frag/bin/frag"
    folder = words.pop()
    assert words.pop() == "--folder"
    assert folder == f"/var/lib/{service['StateDirectory']}"
    assert is_command(words)
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_reads_a_unit_without_complaint(tmp_path: Path, unit: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/frag/bin/frag", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())
    return content


def test_compose_runs_one_coordinator_and_three_nodes_without_rights() -> None:
    services = compose()["services"]
    assert sorted(services) == ["clinic-a", "clinic-b", "clinic-c", "coordinator"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        words = service["command"]
        assert is_command(words[: words.index("--folder")]), name
        folder = words[-1]
        mounts = [mount.split(":") for mount in service["volumes"]]
        assert any(Path(folder).is_relative_to(mount[1]) for mount in mounts)
        volumes = {mount[0] for mount in mounts if not mount[0].startswith(".")}
        assert volumes <= set(compose()["volumes"])


def test_compose_finds_its_dockerfile_and_what_that_copies() -> None:
    build = compose()["x-frag"]["build"]
    context = (DEPLOY / "docker" / build["context"]).resolve()
    dockerfile = (context / build["dockerfile"]).read_text()
    copied = [
        line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY") and "--from" not in line
    ]
    assert all((context / source).exists() for sources in copied for source in sources)
    assert dockerfile.index("USER frag") < dockerfile.index("ENTRYPOINT")
