"""Pages of the documentation that are made from the program: settings, commands, API."""

from pathlib import Path

from server.references.api import api_page
from server.references.commands import commands_page
from server.settings_reference import reference


def pages() -> dict[str, str]:
    """Every generated page, by its file name in `docs/`."""
    return {"settings.md": reference(), "cli.md": commands_page(), "api.md": api_page()}


def write(folder: Path) -> None:
    """Writes all of them into `folder`."""
    for name, page in pages().items():
        (folder / name).write_text(page, encoding="utf-8")
