"""`frag train`: a job over the running federation, followed live; and `frag jobs` to look after them."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from server.commands.showing import picture_file

app = typer.Typer(help="Look after training jobs.", no_args_is_help=True)

Url = Annotated[str, typer.Option(envvar="FRAG_URL", help="Address of the coordinator.")]
Key = Annotated[str, typer.Option(envvar="FRAG_API_KEY", help="API key with scope `train`.")]
Ca = Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")]
Plot = Annotated[Path | None, typer.Option(help="Where the curves go, such as curves.png.", callback=picture_file)]
JobId = Annotated[str, typer.Argument(help="As `frag jobs list` names it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_URL = "http://127.0.0.1:8470"


def train(
    job: Annotated[Path, typer.Argument(help="job.toml; README.md lists the fields.")],
    url: Url = _URL,
    key: Key = "",
    tls_ca: Ca = None,
    plot: Plot = None,
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Queue the job and return.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make the result live at the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train over the federation. Interrupting this command does not stop the job; `frag jobs cancel` does."""
    from frag.errors import BadRequestError
    from prompt_tuning.job import load_job
    from server.training_client import TrainingClient, follow

    if detach and promote:
        raise BadRequestError(
            "Nobody is there to promote when the command returns at once.",
            "Leave out --detach, or promote later with `frag prompts promote`.",
        )
    settings = load_job(job)
    client = TrainingClient(url, key, tls_ca)
    if settings.standing is not None and promote:
        raise BadRequestError("A standing job promotes by itself.", "Leave out --promote.")
    created = asyncio.run(client.post("/v1/jobs", settings.model_dump(mode="json")))
    if settings.standing is not None:
        told = f"{created['job_id']} waits; `frag jobs list` shows for what, `frag prompts timeline` what came of it"
        typer.echo(json.dumps(created) if as_json else told)
        return
    if detach:
        typer.echo(json.dumps(created) if as_json else f"queued {created['job_id']}")
        return
    job_id = str(created["job_id"])
    try:
        result = asyncio.run(follow(client, job_id, quiet=as_json))
    except KeyboardInterrupt:
        typer.echo(
            f"{job_id} goes on: `frag jobs follow {job_id}` shows it, `frag jobs cancel {job_id}` ends it", err=True
        )
        raise typer.Exit(130) from None
    _finish(result, client, plot, promote=promote, as_json=as_json)


@app.command()
def follow(
    job_id: JobId,
    url: Url = _URL,
    key: Key = "",
    tls_ca: Ca = None,
    plot: Plot = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a running job live until it ends, or the result of one that has."""
    from server.training_client import TrainingClient
    from server.training_client import follow as follow_job

    client = TrainingClient(url, key, tls_ca)
    _finish(asyncio.run(follow_job(client, job_id, quiet=as_json)), client, plot, promote=False, as_json=as_json)


def _finish(result: "dict[str, object]", client: object, plot: Path | None, *, promote: bool, as_json: bool) -> None:
    from server.training_client import TrainingClient, plot_rounds, print_job, print_promotion

    if plot is not None:
        plot_rounds(result, plot)
    versions = result["versions"]
    if promote and result["state"] == "done" and isinstance(versions, list) and isinstance(client, TrainingClient):
        result["promoted"] = asyncio.run(client.post(f"/v1/prompts/{versions[-1]}/promote"))
    if as_json:
        typer.echo(json.dumps(result))
    else:
        print_job(result)
        if "promoted" in result:
            print_promotion(result["promoted"])
    if result["state"] != "done":
        raise typer.Exit(1)


@app.command("list")
def list_(url: Url = _URL, key: Key = "", tls_ca: Ca = None, *, as_json: AsJson = False) -> None:
    """Show all jobs, and the standing ones with what they wait for."""
    from server.standing_tables import print_standing
    from server.training_client import TrainingClient, print_jobs

    found = asyncio.run(TrainingClient(url, key, tls_ca).get("/v1/jobs"))
    if as_json:
        typer.echo(json.dumps(found))
        return
    if found["jobs"] or not found["standing"]:
        print_jobs(found["jobs"])
    if found["standing"]:
        print_standing(found["standing"])


@app.command()
def cancel(job_id: JobId, url: Url = _URL, key: Key = "", tls_ca: Ca = None) -> None:
    """Stop a job at once; its committed rounds stay. A standing job ends with its run."""
    from server.training_client import TrainingClient

    asyncio.run(TrainingClient(url, key, tls_ca).post(f"/v1/jobs/{job_id}/cancel"))
    typer.echo(f"cancelled {job_id}")


@app.command()
def pause(job_id: JobId, url: Url = _URL, key: Key = "", tls_ca: Ca = None) -> None:
    """Let a standing job start no more runs until it is resumed."""
    from server.training_client import TrainingClient

    asyncio.run(TrainingClient(url, key, tls_ca).post(f"/v1/jobs/{job_id}/pause"))
    typer.echo(f"paused {job_id}")


@app.command()
def resume(job_id: JobId, url: Url = _URL, key: Key = "", tls_ca: Ca = None) -> None:
    """Go on with a cancelled or failed job after its last committed round, or with a paused standing job."""
    from server.training_client import TrainingClient

    asyncio.run(TrainingClient(url, key, tls_ca).post(f"/v1/jobs/{job_id}/resume"))
    typer.echo(f"resumed {job_id}")
