"""The built wheel and sdist hold what a user needs, and the command runs from a fresh environment."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import frag

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_the_wheel_holds_all_packages_and_their_data(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for member in (
        "frag/py.typed",
        "retrievers/store.py",
        "prompt_tuning/language_model.py",
        "server/cli.py",
        "server/console/assets/index.html",
        "server/console/assets/views/ask.js",
        "server/coordinator/migrations/versions/0001_identities.py",
        "server/demo/silos/riverside/visits.md",
    ):
        assert member in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_the_sdist_holds_tests_and_documents(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "ARCHITECTURE.md", "constraints.txt", "Makefile"} <= names
    assert "tests/packaging/test_distribution.py" in names
    assert "examples/ask_and_train.ipynb" in names


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_the_installed_command_runs_in_a_fresh_environment(distributions: Path, tmp_path: Path, pattern: str) -> None:
    """Its own dependencies come from this environment, so that the test downloads nothing."""
    (package,) = distributions.glob(pattern)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    ours = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"{ours}\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--force-reinstall"]
    done = subprocess.run([*install, package], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shown = subprocess.run(
        [tmp_path / "env" / "bin" / "frag", "--version"],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert shown.stdout.strip() == f"frag {frag.__version__}", shown.stderr
    where = [python, "-c", "import server; print(server.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert str(tmp_path) in found.stdout
