"""Chooses the checks for a folder, and shows what they found."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from frag.errors import NotFoundError
from server.coordinator.folder import CoordinatorFolder
from server.doctor.coordinator import coordinator_checks
from server.doctor.finding import Check, Finding, examine
from server.doctor.machine import machine_checks
from server.doctor.node import node_checks
from server.node.state import NodeFolder
from server.tables import plain_table, print_table


def find(folders: Sequence[Path], *, verify: bool) -> dict[str, list[Finding]]:
    """Findings by folder, and those of the machine. Raises NotFoundError when a folder does not exist."""
    found = {"machine": [examine(check) for check in machine_checks(folders[0] if folders else Path())]}
    for folder in folders:
        found[str(folder)] = [examine(check) for check in _checks(folder, verify=verify)]
    return found


def _checks(folder: Path, *, verify: bool) -> list[Check]:
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder}.", "Name one that holds node.toml or coordinator.toml.")
    coordinator = CoordinatorFolder(folder)
    if coordinator.settings_file.exists() or (folder / "coordinator.db").exists():
        return coordinator_checks(coordinator, verify=verify)
    return node_checks(NodeFolder(folder), verify=verify)


def show(found: dict[str, list[Finding]]) -> None:
    """A table for people: ✓ or ✗, what was found, and the mend."""
    table = plain_table("", "check", "found")
    for place, findings in found.items():
        table.add_row("", Text(place, style="bold"), "")
        for finding in findings:
            table.add_row("✓" if finding.ok else "✗", finding.name, _told(finding))
    print_table(table)


def _told(finding: Finding) -> str:
    return f"{finding.what}\n→ {finding.mend}" if finding.mend else finding.what
