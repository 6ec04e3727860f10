"""`frag bench`."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.commands.choices import EncodingName

if TYPE_CHECKING:
    from server.benchmark import OnProgress
    from server.benchmark.fanout import FanoutReport
    from server.benchmark.inference import InferencePlan, InferenceReport

app = typer.Typer(help="Measure what the service costs.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def _main() -> None:
    """Measure what the service costs."""


@app.command()
def fanout(
    nodes: Annotated[int, typer.Option(min=1, max=1000, help="Node processes to fan out to.")] = 3,
    payload_bytes: Annotated[int, typer.Option(min=1, max=32_000, help="Size of each node's answer.")] = 8000,
    num_queries: Annotated[int, typer.Option(min=1, help="Questions measured, after a warm-up.")] = 500,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 1,
    idle_seconds: Annotated[
        float, typer.Option(min=0, help="How long idle nodes are watched; by default longer than a heartbeat.")
    ] = 16.0,
    *,
    with_floor: Annotated[bool, typer.Option(help="Measure bare HTTP servers in turn.")] = True,
    json: Json = False,
) -> None:
    """Time questions over real processes that answer filler: identity, keys and policy on, models left out."""
    import msgspec

    from server.benchmark.fanout import FanoutPlan, measure_fanout

    plan = FanoutPlan(
        nodes=nodes,
        payload_bytes=payload_bytes,
        num_queries=num_queries,
        concurrency=concurrency,
        with_floor=with_floor,
        idle_s=idle_seconds,
    )
    with tempfile.TemporaryDirectory(prefix="frag-bench-") as folder, _progress(quiet=json) as show:
        report = asyncio.run(measure_fanout(Path(folder), plan, show))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        _print_fanout(report)


@app.command()
def inference(
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests at once.")] = 16,
    prompt_tokens: Annotated[int, typer.Option(min=64, max=1500, help="Length of each prompt, about.")] = 250,
    new_tokens: Annotated[int, typer.Option(min=2, max=256, help="Length of each answer.")] = 32,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads of the model.")] = 2,
    *,
    json: Json = False,
) -> None:
    """Time the language model behind a node's inference worker: requests in sequence, then together."""
    import msgspec

    from server.benchmark.inference import InferencePlan

    plan = InferencePlan(concurrency=concurrency, prompt_tokens=prompt_tokens, new_tokens=new_tokens, threads=threads)
    with _progress(quiet=json) as show:
        report = asyncio.run(_measure_inference(plan, show))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        _print_inference(report)


async def _measure_inference(plan: "InferencePlan", show: "OnProgress") -> "InferenceReport":
    from frag.settings import ModelSettings
    from server.benchmark.inference import measure_inference
    from server.node.assembly import inference_worker

    show("loading the model", 0.0)
    async with inference_worker(ModelSettings(threads=plan.threads)) as worker:
        return await measure_inference(worker, plan, show)


@app.command()
def secagg(
    nodes: Annotated[int, typer.Option(min=1, help="Nodes of the sum.")] = 100,
    length: Annotated[int, typer.Option(min=1, help="Coordinates of a vector.")] = 20_480,
    dropout: Annotated[float, typer.Option(min=0, max=1, help="Share that is gone before vectors are sent.")] = 0.1,
    *,
    json: Json = False,
) -> None:
    """What secure aggregation costs a node, everything signed and checked."""
    import msgspec

    from server.benchmark.secagg import measure_secagg

    report = measure_secagg(nodes, length, dropout)
    if json:
        typer.echo(msgspec.json.encode(report))
        return
    typer.echo(f"{nodes} nodes, {length} coordinates, {report.dropped} dropped out; exact: {report.is_exact}")
    typer.echo(
        f"a node: {report.client_cpu_ms:.1f} ms of processor time, {report.upload_bytes:,} bytes up, "
        f"{report.upload_ratio:.2f} x the plain vector; opening the sum: {report.open_s:.2f} s"
    )


@app.command()
def sealed(
    question_chars: Annotated[int, typer.Option(min=1, max=8000, help="Length of the question.")] = 80,
    runs: Annotated[int, typer.Option(min=1, help="Envelopes sealed and opened.")] = 1000,
    *,
    json: Json = False,
) -> None:
    """What `frag ask --sealed` adds for each node."""
    import msgspec

    from server.benchmark.sealed import measure_sealed

    report = measure_sealed(question_chars, runs)
    if json:
        typer.echo(msgspec.json.encode(report))
        return
    typer.echo(
        f"seal {report.seal_us:.0f} µs, open and check {report.open_us:.0f} µs, reply key {report.key_us:.0f} µs"
    )
    typer.echo(f"{report.envelope_bytes} bytes for a message of {report.open_message_bytes}")


@app.command()
def keywords(
    epsilon: Annotated[float, typer.Option(help="ε of all questions of a row together.")] = 4.0,
    nodes: Annotated[int, typer.Option(min=3, max=100, help="Nodes of the sum.")] = 3,
    colluders: Annotated[int, typer.Option(min=0, help="Nodes whose noise does not count.")] = 1,
    agreement: Annotated[float, typer.Option(min=0, max=1, help="Share of units that mention a keyword.")] = 0.8,
    trials: Annotated[int, typer.Option(min=1, help="Questions simulated a row.")] = 100,
    *,
    json: Json = False,
) -> None:
    """How many of the five true keywords come out, by the number of units that vote (simulated)."""
    import msgspec

    from server.benchmark.keywords import KeywordPlan, KeywordRow, measure_keywords

    plan = KeywordPlan(epsilon=epsilon, nodes=nodes, colluders=colluders, agreement=agreement, trials=trials)

    def show(row: KeywordRow) -> None:
        if not json:
            precision = "–" if row.released_precision is None else f"{row.released_precision:.2f}"
            typer.echo(
                f"{row.questions:9} {row.units:6} {row.noise_deviation:9.2f} {row.recall:7.2f} "
                f"{row.released_recall:9.2f} {precision:>9} {row.documents_used:5.2f}"
            )

    if not json:
        typer.echo(f"{nodes} nodes, {colluders} may collude, ε = {epsilon:g}, units agree with {agreement:g}")
        typer.echo(
            f"{'questions':>9} {'units':>6} {'noise sd':>9} {'recall':>7} {'released':>9} {'precision':>9}  used"
        )
    rows = measure_keywords(plan, show)
    if json:
        typer.echo(msgspec.json.encode({"plan": plan, "rows": rows}))


@app.command()
def rounds(
    nodes: Annotated[int, typer.Option(min=1, help="Updates of the round.")] = 1000,
    virtual_tokens: Annotated[int, typer.Option(min=1, help="Rows of the prompt.")] = 20,
    width: Annotated[int, typer.Option(min=1, help="Columns of the prompt.")] = 576,
    encoding: Annotated[EncodingName, typer.Option(help="Of the updates as they travel.")] = "fp32",
    *,
    json: Json = False,
) -> None:
    """Time a round's summation: updates as they travel, checked, summed and applied."""
    import msgspec

    from frag.quantization import Encoding
    from server.benchmark.rounds import measure_rounds

    report = measure_rounds(nodes, (virtual_tokens, width), Encoding(encoding))
    if json:
        typer.echo(msgspec.json.encode(report))
        return
    typer.echo(f"{report.nodes:,} updates of {report.update_bytes:,} bytes summed in {report.sum_s:.3f} s")
    typer.echo(f"peak memory {report.peak_rss_mib:.0f} MiB, of which the round {report.growth_mib:.1f} MiB")


@app.command()
def train(
    methods: Annotated[str, typer.Option(help="Comma-separated.")] = "prompt,p_tuning,generator,deep,lora",
    places: Annotated[str, typer.Option(help="Comma-separated.")] = "after,before",
    steps: Annotated[int, typer.Option(min=1, help="Steps of each method.")] = 30,
    peft_steps: Annotated[int, typer.Option(min=0, help="Steps of peft's prompt tuning; 0 leaves it out.")] = 15,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples of a step.")] = 8,
    data: Annotated[Path | None, typer.Option(help="Examples; default: questions over the demo's documents.")] = None,
    limit: Annotated[int, typer.Option(min=24, help="Examples at most.")] = 96,
    target_loss: Annotated[float, typer.Option(min=0, help="Held-out loss; 0: what peft ends with.")] = 0.0,
    model: Annotated[str, typer.Option(help="Language model.")] = "smollm2-135m-instruct",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the model.")] = 2,
    *,
    json: Json = False,
) -> None:
    """Time training by method and place, and the way to the same loss, against peft's prompt tuning."""
    import msgspec

    from frag.types import Place
    from prompt_tuning.dataset import read_examples
    from server.benchmark.training import TrainingPlan, TrainingRow, built_in_examples, measure_training

    examples = read_examples(data) if data else built_in_examples()
    plan = TrainingPlan(
        examples=examples[:: max(1, len(examples) // limit)][:limit],
        model_name=model,
        methods=methods.split(","),
        places=[Place(place) for place in places.split(",")],
        steps=steps,
        peft_steps=peft_steps,
        batch_size=batch_size,
        threads=threads,
        target_loss=target_loss,
    )

    def show(row: TrainingRow) -> None:
        if not json:
            reached = "–" if row.seconds_to_target is None else f"{row.seconds_to_target:8.1f}"
            typer.echo(
                f"{row.method:12} {row.place:7} {row.prepare_s:8.1f} {row.step_s:8.2f} {row.examples_per_s:8.2f} "
                f"{row.final_loss:8.3f} {reached:>8}"
            )

    if not json:
        titles = ("prepare s", "step s", "ex/s", "loss", "to target")
        typer.echo(f"{'method':12} {'place':7} " + " ".join(f"{title:>8}" for title in titles))
    rows = measure_training(plan, show)
    if json:
        typer.echo(msgspec.json.encode({"threads": threads, "batch_size": batch_size, "rows": rows}))


@contextlib.contextmanager
def _progress(*, quiet: bool) -> "Iterator[OnProgress]":
    """A bar on standard error that shows what is under way and how far it is."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        bar = progress.add_task("", total=1.0)
        yield lambda stage, share: progress.update(bar, description=stage, completed=share)


def _print_fanout(report: "FanoutReport") -> None:
    from rich.console import Console

    from server.tables import plain_table, print_table

    console = Console()
    title = f"{report.nodes} nodes, {report.payload_bytes} bytes each, {report.num_queries} questions"
    table = plain_table("", "p50 ms", "p95 ms", "p99 ms", title=title)
    for name, row in (("frag", report), ("bare HTTP", report.floor)):
        if row is not None:
            table.add_row(name, f"{row.p50_ms:.2f}", f"{row.p95_ms:.2f}", f"{row.p99_ms:.2f}")
    print_table(table)
    if report.ratio_to_floor is not None:
        console.print(f"{report.ratio_to_floor:.1f} times the floor at the median")
    if report.idle_cpu_percent is not None:
        console.print(f"an idle connected node: {report.idle_cpu_percent:.2f} % of a core")
    if report.scrub_ms_per_answer is None:
        console.print("scrubbing: not measured, the models are missing (`frag models pull`)")
    else:
        console.print(f"scrubbing one such answer, apart: {report.scrub_ms_per_answer:.1f} ms")


def _print_inference(report: "InferenceReport") -> None:
    from server.tables import plain_table, print_table

    prompts = f"{report.concurrency} prompts of {report.prompt_tokens:.0f} tokens"
    title = f"{prompts}, {report.new_tokens} new tokens each, {report.threads} threads"
    table = plain_table("", "wall s", "decode tok/s", title=title)
    table.add_row("in sequence", f"{report.sequential_s:.2f}", _figure(report.decode_tokens_per_s_single))
    table.add_row("together", f"{report.concurrent_s:.2f}", _figure(report.decode_tokens_per_s_batched))
    print_table(table)
    typer.echo(f"together takes {report.ratio:.2f} of the time; prefill {_figure(report.prefill_tokens_per_s)} tok/s")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
