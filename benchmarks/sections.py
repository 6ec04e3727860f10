"""The tables of each kind of result.

Every function takes the results of its kind by name of their file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.tables import minus, percent, shown, table, with_interval

_MEASURES = {"accuracy": "accuracy", "token_f1": "token F1"}
_WIDE = 4
"""With more figures than this a table leaves intervals out."""

Json = dict[str, Any]
Results = Mapping[str, Json]
SYSTEMS = {
    "zero_shot": "model as it is",
    "best_template": "best template",
    "federated": "federation",
    "centralised": "one place",
}
"""What `frag eval train` compares, and what the page calls it."""


def fanout(results: Results) -> str:
    rows: list[tuple[object, ...]] = []
    for result in results.values():
        for system, latency in (("frag", result), ("bare HTTP", result["floor"])):
            figures = [latency[name] for name in ("p50_ms", "p95_ms", "p99_ms")]
            rows.append((f"{system}, {result['nodes']} nodes", *figures, result["num_queries"]))
    beside = [
        f"{result['nodes']} nodes: {result['ratio_to_floor']} × the median of bare HTTP; a connected idle node takes "
        f"{result['idle_cpu_percent']} % of a core."
        for result in results.values()
    ]
    return table(("", "p50 ms", "p95 ms", "p99 ms", "questions"), rows) + "\n\n" + " ".join(beside)


def first_event(results: Results) -> str:
    (result,) = results.values()
    names = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
    rows = [
        (f"`{client}`", *(waits[name] for name in names), percent(waits["within_goal"]))
        for client, waits in result["clients"].items()
    ]
    head = f"{result['nodes']} nodes, {result['requests']} requests"
    return table((head, "p50 ms", "p95 ms", "p99 ms", "max ms", f"within {result['goal_ms']:.0f} ms"), rows)


def inference(results: Results) -> str:
    (result,) = results.values()
    rows = [
        ("one after the other, s", result["sequential_s"]),
        ("together, s", result["concurrent_s"]),
        ("together, of the time one after the other", result["ratio"]),
        ("decoding, alone, tokens/s", result["decode_tokens_per_s_single"]),
        ("decoding, together, tokens/s", result["decode_tokens_per_s_batched"]),
        ("prefill, tokens/s", result["prefill_tokens_per_s"]),
    ]
    head = (
        f"{result['concurrency']} prompts of {result['prompt_tokens']:.0f} tokens, {result['new_tokens']} tokens each, "
        f"{result['threads']} threads"
    )
    return table((head, ""), rows)


def index(results: Results) -> str:
    names = ("recall_at_10", "p50_ms", "p95_ms", "p99_ms", "peak_rss_mib", "adds_per_s", "cpu_adds_per_s")
    rows = []
    for result in results.values():
        contenders = {name: figures for name, figures in result.items() if isinstance(figures, dict)}
        head = f"{result['vectors']:,} {result['data']}"
        rows += [(f"{name}, {head}", *(figures[each] for each in names)) for name, figures in contenders.items()]
    return table(("", *(name.replace("_", " ") for name in names)), rows)


def rounds(results: Results) -> str:
    head = ("updates", "bytes each", "summed in, s", "memory of the round, MiB")
    names = ("nodes", "update_bytes", "sum_s", "growth_mib")
    return table(head, [[result[name] for name in names] for result in results.values()])


def secagg(results: Results) -> str:
    head = ("nodes", "dropped out", "coordinates", "CPU of a node, ms", "sent by a node, bytes", "of the plain vector",
            "opening, s", "sum is exact")  # fmt: skip
    names = ("nodes", "dropped", "length", "client_cpu_ms", "upload_bytes", "upload_ratio", "open_s", "is_exact")
    return table(head, [[result[name] for name in names] for result in results.values()])


def sealed(results: Results) -> str:
    head = ("characters", "sealing, µs", "opening and checking, µs", "reply key, µs", "message, bytes", "sent, bytes")
    names = ("question_chars", "seal_us", "open_us", "key_us", "open_message_bytes", "envelope_bytes")
    return table(head, [[result[name] for name in names] for result in results.values()])


def keywords(results: Results) -> str:
    (result,) = results.values()
    plan = result["plan"]
    names = (
        "units",
        "questions",
        "noise_deviation",
        "recall",
        "released_recall",
        "released_precision",
        "documents_used",
    )
    said = (
        f"{plan['nodes']} nodes of which {plan['colluders']} may collude, ε = {plan['epsilon']}, a unit mentions a "
        f"keyword that matters with probability {plan['agreement']}, {plan['trials']} questions a row. Of the five "
        "keywords that matter: how many are among the five most voted for, and how many come out."
    )
    head = ("units", "questions within ε", "noise, sd", "in the top five", "come out", "precision", "documents used")
    return f"{said}\n\n" + table(head, [[row[name] for name in names] for row in result["rows"]])


def steps(results: Results) -> str:
    names = ("step_s", "examples_per_s", "final_loss", "seconds_to_target")
    measured = [row for result in results.values() for row in result["rows"]]
    rows = [(f"`{row['method']}`, {row['place']}", *(row[name] for name in names)) for row in measured]
    return table(("", "a step, s", "examples/s", "held-out loss", "to peft's loss, s"), rows)


def measure_of(result: Json) -> str:
    """What a training result is measured by."""
    return "accuracy" if "accuracy" in result["zero_shot"] else "token_f1"


def train(results: Results) -> str:
    """One table for all jobs on the same test questions: what no job changes once, then each job."""
    groups: dict[str, list[Json]] = {}
    for result in results.values():
        head = f"{result['dataset']}, {result['num_nodes']} nodes, {result['num_test']} test questions"
        groups.setdefault(head, []).append(result)
    return "\n\n".join(_tasks_table(head, group) for head, group in groups.items())


def _tasks_table(head: str, results: list[Json]) -> str:
    measure = measure_of(results[0])
    rows = [_score(SYSTEMS[name], results[0][name], measure) for name in ("zero_shot", "best_template")]
    for result in results:
        seeds = len(result["seeds"])
        job = f"{_job(result['job'])}, {seeds} seed{'s' * (seeds > 1)}"
        rows += [
            _score(f"{SYSTEMS[name]}: {job}", result[name], measure)
            for name in ("federated", "centralised")
            if result.get(name)
        ]
        if gain := result["gains"].get("centralised"):
            difference = "{:+.3f} ({:+.3f} to {:+.3f})".format(gain["token_f1"], *gain["interval_95"])
            rows.append(("… the difference of these two", minus(difference), None, None))
    return table((head, f"{_MEASURES[measure]} (95 %)", "exact match", "with retrieved passage"), rows)


def _score(name: str, system: Json, measure: str) -> tuple[object, ...]:
    retrieved = system.get("retrieved", {}).get(measure)
    found = with_interval(system[measure], system["interval_95"])
    return name, found, with_interval(system.get("exact_match")), with_interval(retrieved)


def _job(job: Json) -> str:
    strategy, local = job["strategy"], job["local"]
    parts = [
        f"`{job['method']['kind']}` {job['method']['place']} the input",
        strategy["kind"] + (f" (μ = {strategy['proximal_mu']})" if "proximal_mu" in strategy else ""),
        f"{job['rounds']['number']} × {local['steps']} steps of {local['batch_size']}",
        f"rate {local['learning_rate']}",
    ]
    encoding = job["update"]["encoding"]
    return ", ".join([*parts, *([] if encoding == "fp32" else [f"updates as {encoding}"])])


def lifelong(results: Results) -> str:
    (result,) = results.values()
    rows = [
        (name, system["average_accuracy"], system.get("forgetting"), _arrivals(system))
        for name, system in result["systems"].items()
    ]
    said = f"The model as it is: {shown(result['untrained'])}."
    head = ("rounds with", "average accuracy", "forgetting", "accuracy so far, by arrival")
    return table(head, rows) + f"\n\n{said}"


def _arrivals(system: Json) -> str | None:
    return " ".join(f"{value:.2f}" for value in system.get("average_by_arrival") or []) or None


def drift(results: Results) -> str:
    (result,) = results.values()
    rows = []
    for name, seen in result["scenarios"].items():
        by = ", ".join(f"{signal} {number}" for signal, number in seen["seen_by"].items())
        found = f"{seen['detected_within_3']} of {seen['trials']}"
        rows.append((name, found, by, f"{seen['false_triggers']} of {seen['windows']}"))
    return table(("", "seen within 3 windows", "by signal", "false, of stationary windows"), rows)


def feedback(results: Results) -> str:
    rows = []
    for name, result in results.items():
        both = [result["topic_and_others"][version] for version in ("live", "candidate")]
        new, old = ([f"{version[part]:.3f}" for version in both] for part in ("f1_new", "f1_old"))
        what = f"{'wrong' if result['wrong'] else 'right'}, {result['corrections']}"
        rows.append((f"`{name}`", what, " → ".join(new), " → ".join(old), result["decision"].replace("_", " ")))
    return table(
        ("", f"corrections on {result['topic']}", "topic, live → candidate", "others, live → candidate", "gate"), rows
    )


def privacy(results: Results) -> str:
    parts = []
    for result in results.values():
        rows = [
            (
                f"`{name}`",
                with_interval(row["token_f1"], row["interval_95"]),
                row["answered"],
                row["slowest_node_p50_s"],
            )
            for name, row in result["settings"].items()
        ]
        header = result["header"]
        head = f"{header['dataset']}, {header['silos']} nodes, {header['questions']} questions"
        parts.append(table((head, "token F1 (95 %)", "answered", "slowest node, p50 s"), rows))
    return "\n\n".join(parts)


def pii(results: Results) -> str:
    (result,) = results.values()
    rows = []
    for name, system in result["systems"].items():
        scores = [system[part][what] for part in ("held_out", "all") for what in ("recall", "precision")]
        cells = [with_interval(score["value"], score["interval_95"]) for score in scores]
        rows.append((f"`{name}`", *cells, system["texts_per_s"]))
    head = f"{result['num_texts']:,} texts of {result['num_templates']} templates"
    return table((head, "recall, held out", "precision, held out", "recall, all", "precision, all", "texts/s"), rows)


def attack(results: Results) -> str:
    """Tables of modes that are measured by the same figures; turned where that is narrower."""
    parts = []
    for result in results.values():
        report = result["report"]
        by_figures: dict[tuple[str, ...], list[Json]] = {}
        for outcome in report["outcomes"]:
            by_figures.setdefault(tuple(outcome["figures"]), []).append(outcome)
        parts += [_modes_table(report["attack"], outcomes) for outcomes in by_figures.values()]
    return "\n\n".join(parts)


def _modes_table(name: str, outcomes: list[Json]) -> str:
    cells = [{**_figures(outcome), "verdict": outcome["verdict"]} for outcome in outcomes]
    modes = [outcome["mode"] for outcome in outcomes]
    if len(cells[0]) > len(modes):
        return table((name, *modes), [(label, *(row[label] for row in cells)) for label in cells[0]])
    return table((name, *cells[0]), [(mode, *row.values()) for mode, row in zip(modes, cells, strict=True)])


def _figures(outcome: Json) -> dict[str, str]:
    """Cells by label. Figures `x: a` and `x: b` of a wide table share the cell `x: a / b`."""
    figures, intervals = outcome["figures"], outcome["intervals"]
    if len(figures) <= _WIDE:
        return {name: _figure(value, intervals.get(name)) for name, value in figures.items()}
    labels: dict[str, list[str]] = {}
    for name in figures:
        labels.setdefault(name.partition(": ")[0], []).append(name)
    return {
        " / ".join([names[0], *(name.partition(": ")[2] for name in names[1:])]): " / ".join(
            _figure(figures[name], intervals.get(name) and ()) for name in names
        )
        for names in labels.values()
    }


def _figure(value: float, interval: Sequence[float] | None) -> str:
    """A share has an interval, which may be left out; a count has none."""
    return shown(value) if interval is None else with_interval(value, interval, 2)
