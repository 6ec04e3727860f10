"""Three clinics, a coordinator and three questions, as real processes on this machine."""

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console

from frag.durable import write_private
from frag.errors import ConflictError, FragError, NotFoundError
from frag.models import Kind, locate
from frag.policy_settings import CollectionSettings
from frag.settings import ModelSettings
from server.asking import print_answer
from server.local_federation import LocalFederation
from server.node.assembly import load_embedder, open_stores

SILOS = Path(__file__).parent / "silos"


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A question, how its answers are merged, and what to look at."""

    text: str
    aggregation: str
    look_at: str


QUESTIONS = (
    DemoQuestion(
        "What is the starting dose of dalvaparin for adults?",
        "best",
        "One clinic knows; the others abstain. Only the answer left it, with pseudonyms of its sources.",
    ),
    DemoQuestion(
        "How long is the waiting time for an MRI?",
        "synthesize",
        "Riverside and Hillcrest each know their own; the coordinator merges what the two released.",
    ),
    DemoQuestion(
        "Who should be called when the alarm of the vaccine refrigerator sounds?",
        "best",
        "The document names a nurse, her telephone and her e-mail address. None of them left the practice.",
    ),
)


class DemoFailedError(FragError):
    """The demo ran and did not show what it should."""

    code = "demo_failed"


async def run_demo(folder: Path, *, keep: bool) -> None:
    """Runs the demo in `folder`, which is made anew.

    Raises:
        ModelError: A model is missing; its mend names the command.
        DemoFailedError: A question got no answer.
        ConflictError: A kept demo still runs there.
    """
    console = Console()
    models = ModelSettings(threads=1)
    for name, kind in (
        (models.language_model, Kind.LANGUAGE_MODEL),
        (models.embedder, Kind.EMBEDDER),
        (models.ner, Kind.NER),
    ):
        locate(name, kind)
    _clear(folder)
    federation = LocalFederation(folder, settings={"models": {"threads": 1}})
    async with federation:
        with console.status("Enrolling three clinics and indexing their documents …"):
            names = await _set_up(federation, models)
        with console.status("Starting three node processes …"):
            await federation.wait_for_nodes(names)
        console.print(f"Coordinator at {federation.url}; nodes: {', '.join(names)}. Documents stay in {folder}/nodes.")
        await _ask_all(federation, console)
        if keep:
            _keep(federation, console)
    if not keep:
        console.print("Stopped everything. `make demo KEEP=1` leaves it running.")


async def _set_up(federation: LocalFederation, models: ModelSettings) -> list[str]:
    names = sorted(silo.name for silo in SILOS.iterdir() if silo.is_dir() and not silo.name.startswith("_"))
    embedder = await asyncio.to_thread(load_embedder, models)
    for name in names:
        settings = {
            "models": {"threads": 1},
            "collections": [{"name": "documents", "folder": "documents"}],
        }
        await federation.add_node(name, settings)
        node = federation.node(name)
        documents = node.folder / "documents"
        shutil.copytree(SILOS / name, documents)
        collection = CollectionSettings(name="documents", folder=documents)
        stores = await asyncio.to_thread(open_stores, node.index, [collection], embedder)
        with stores["documents"] as store:
            await asyncio.to_thread(store.ingest, [documents])
        federation.start_node(name)
    return names


async def _ask_all(federation: LocalFederation, console: Console) -> None:
    async with aiohttp.ClientSession() as session:
        for number, question in enumerate(QUESTIONS, 1):
            console.print(f"\n[bold]{number}. {question.text}[/bold]")
            with console.status("Asking …"):
                response = await federation.ask(
                    session, question=question.text, aggregation=question.aggregation, deadline_s=60
                )
            if response["http_status"] != 200 or not response["answer"]:
                raise DemoFailedError(
                    f"Question {number} got no answer (HTTP {response['http_status']}).",
                    f"See the logs in {federation.folder / 'logs'}.",
                )
            print_answer(response)
            console.print(question.look_at, style="italic")


def _keep(federation: LocalFederation, console: Console) -> None:
    process_ids = federation.detach()
    write_private(federation.folder / "processes.json", msgspec.json.encode(process_ids))
    key = federation.api_key
    console.print(f"\nStill running at {federation.url}. Stop it: frag demo --stop --folder {federation.folder}")
    console.print(
        f"curl -s {federation.url}/v1/query -H 'Authorization: Bearer {key}' "
        """-d '{"question": "When does the children ward close for visitors?"}'""",
        soft_wrap=True,
        markup=False,
    )


def stop_kept(folder: Path) -> None:
    """Ends the processes of a kept demo. Raises NotFoundError when none was kept."""
    record = folder / "processes.json"
    if not record.is_file():
        raise NotFoundError(f"No demo was kept in {folder}.", "Start one with `make demo KEEP=1`.")
    for process_id in msgspec.json.decode(record.read_bytes(), type=list[int]):
        if _is_ours(process_id):
            os.kill(process_id, signal.SIGTERM)
    record.unlink()


def _is_ours(process_id: int) -> bool:
    """Process ids are reused; only a frag process is ended."""
    try:
        return b"server.cli" in Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return False


def _clear(folder: Path) -> None:
    """Removes an earlier demo, and nothing that is not one."""
    if (folder / "processes.json").exists() and _any_alive(folder):
        raise ConflictError(f"A kept demo still runs in {folder}.", f"frag demo --stop --folder {folder}")
    if folder.exists():
        strangers: Sequence[Path] = [p for p in folder.iterdir() if p.name not in _OWN]
        if strangers:
            raise ConflictError(f"{folder} holds other files: {strangers[0].name}.", "Choose another --folder.")
        shutil.rmtree(folder)


_OWN = frozenset({"coordinator", "nodes", "logs", "processes.json"})


def _any_alive(folder: Path) -> bool:
    ids = msgspec.json.decode((folder / "processes.json").read_bytes(), type=list[int])
    return any(map(_is_ours, ids))
