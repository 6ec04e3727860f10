"""Puts pages of the repository's root into the site, with links that lead within it."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[1]
_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "THREAT_MODEL.md": "threat-model.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "measuring.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds each page under its new name."""
    for source, name in _PAGES.items():
        text = (_ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](").replace("](../docs/", "](")
        for other, new in _PAGES.items():
            text = text.replace(f"]({other}", f"]({new}").replace(f"](../{other}", f"]({new}")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Pages of `docs/` link to the root as one does on a code host."""
    for source, name in _PAGES.items():
        markdown = markdown.replace(f"](../{source}", f"]({name}")
    return markdown
