"""Times the fan-out of Flower with a probe app: its defaults, tuned, and in simulation.

The app (a folder with `pyproject.toml`) asks all nodes `n-queries` times and writes `nodes` and `samples_s` as JSON to
the path in its setting `out`. It runs from a copy, over loopback, without telemetry; nothing is fetched while it runs.

    python benchmarks/flower_fanout.py APP_FOLDER [--flower-python PATH] [--queries 5]
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

VERSION = "1.42.0"
ROOT = Path(__file__).resolve().parent.parent
NUM_NODES = 3
START_S = 60.0
QUERY_S = 60.0


class Row(NamedTuple):
    """One way to run Flower. The first answer of a simulation pays for the start of its workers; max shows it."""

    system: str
    nodes: int
    num_queries: int
    p50_ms: float
    max_ms: float


class Variant(NamedTuple):
    name: str
    environment: Mapping[str, str]
    simulated: bool = False
    queries_factor: int = 1


VARIANTS = (
    Variant("default", {}),
    Variant("tuned", {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.05"}),
    Variant("simulation", {}, simulated=True, queries_factor=4),
)


def measure(app: Path, python: Path | None, num_queries: int) -> list[Row]:
    """All variants, one after the other. `python` belongs to an environment with Flower; None: one is made."""
    binaries = (python or _environment()).parent
    return [_measure_variant(app, binaries, variant, num_queries) for variant in VARIANTS]


def _environment() -> Path:
    """The interpreter of `.flwr` beside the project, where Flower is installed once."""
    folder = ROOT / ".flwr"
    python = folder / "bin" / "python"
    if (folder / "bin" / "flower-superlink").exists():
        return python
    print(f"Installing Flower {VERSION} into {folder} …", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", f"flwr[simulation]=={VERSION}"]
    if subprocess.run(install, check=False).returncode != 0:
        sys.exit(f"Flower {VERSION} cannot be installed here. Give --flower-python of an environment that has it.")
    return python


def _measure_variant(app: Path, binaries: Path, variant: Variant, num_queries: int) -> Row:
    print(f"Flower, {variant.name} …", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="flower-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        copy = Path(shutil.copytree(app, folder / "app"))
        environment = {**_isolated(folder, binaries), **variant.environment}
        port = _start_federation(stack, folder, environment, simulated=variant.simulated)
        _write_config(folder, port)
        wanted = num_queries * variant.queries_factor
        out = folder / "rtt.json"
        command = ["flwr", "run", ".", "probe", "--run-config", f'n-queries={wanted} out="{out}"']
        if variant.simulated:
            command += ["--federation-config", f"num-supernodes={NUM_NODES}"]
        subprocess.run(command, cwd=copy, env=environment, check=True, stdout=sys.stderr)
        nodes, samples_s = _wait_for(out, wanted)
    p50_ms, max_ms = (round(1000 * value, 1) for value in (statistics.median(samples_s), max(samples_s)))
    return Row(f"Flower, {variant.name}", nodes, wanted, p50_ms, max_ms)


def _isolated(folder: Path, binaries: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
    }


def _write_config(folder: Path, port: int) -> None:
    lines = (
        "[superlink]",
        'default = "probe"',
        "[superlink.probe]",
        f'address = "127.0.0.1:{port}"',
        "insecure = true",
    )
    (folder / "config.toml").write_text("\n".join(lines) + "\n")


def _start_federation(
    stack: contextlib.ExitStack, folder: Path, environment: Mapping[str, str], *, simulated: bool
) -> int:
    """Starts the link and, unless they are simulated, the nodes. Returns the link's port."""
    port = _free_port()
    link = ["flower-superlink", "--insecure", "--port", str(port), "--disable-runtime-dependency-installation"]
    stack.enter_context(_process([*link, *(["--simulation"] if simulated else [])], folder, environment))
    _wait_for_port(port)
    for number in range(0 if simulated else NUM_NODES):
        node = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}", "--port", str(_free_port())]
        node += ["--node-config", f"partition-id={number + 1}"]
        stack.enter_context(_process(node, folder, environment))
    return port


@contextlib.contextmanager
def _process(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A process with all that it starts: its session is ended as a whole."""
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    sys.exit(f"Flower's link did not listen within {START_S:.0f} s.")


def _wait_for(out: Path, num_samples: int) -> tuple[int, list[float]]:
    """The probe rewrites its file after every query; half a file is read again."""
    until = time.monotonic() + START_S + num_samples * QUERY_S
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            content = json.loads(out.read_text())
            if len(content["samples_s"]) == num_samples:
                return content["nodes"], content["samples_s"]
        time.sleep(0.5)
    sys.exit("Flower's probe did not finish.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("app", type=Path, help="folder of the probe app")
    parser.add_argument("--flower-python", type=Path, help="interpreter of an environment with Flower")
    parser.add_argument("--queries", type=int, default=5, help="queries per variant; several seconds each")
    arguments = parser.parse_args()
    rows = measure(arguments.app, arguments.flower_python, arguments.queries)
    print(json.dumps([row._asdict() for row in rows], indent=1))


if __name__ == "__main__":
    main()
