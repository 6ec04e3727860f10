import ast
import subprocess
import sys

import retrievers
from tests.retrievers.tiny_embedder import write_tiny_embedder


def example(docstring):
    """The code of the doctest prompts in `docstring`."""
    lines = (line for line in docstring.splitlines() if line.startswith((">>> ", "... ")))
    return "\n".join(line[4:] for line in lines)


def test_the_five_line_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_tiny_embedder(tmp_path / "models" / "all-minilm-l6-v2")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "bell.txt").write_text("Bell invented the telephone.")
    code = example(retrievers.__doc__)
    assert len(code.splitlines()) == 5
    exec(compile(ast.parse(code), "example", "exec"), scope := {})
    scope["store"].close()
    assert capsys.readouterr().out.endswith("bell.txt: Bell invented the telephone.\n")


def test_everything_exported_is_there():
    assert all(hasattr(retrievers, name) for name in retrievers.__all__)
    assert retrievers.__all__ == sorted(retrievers.__all__)


def test_importing_loads_nothing_heavy():
    heavy = "torch faiss transformers sentence_transformers bs4 pypdf docx"
    script = f"import sys, retrievers; print([name for name in '{heavy}'.split() if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
