"""The tables of each kind of result.

Every function takes the results of its kind by name of their file.
"""

from collections.abc import Mapping
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
        (f"`{client}`", *(waits[name] for name in names), percent(waits["within_promised"]))
        for client, waits in result["clients"].items()
    ]
    head = f"{result['nodes']} nodes, {result['requests']} requests"
    return table((head, "p50 ms", "p95 ms", "p99 ms", "max ms", f"within {result['promised_ms']:.0f} ms"), rows)


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
        f"keyword that matters with probability {plan['agreement']}, {plan['trials']} questions a row."
    )
    head = ("units that vote", "questions within ε", "noise, sd", "of five in the top five", "of five that come out",
            "precision of these", "documents used")  # fmt: skip
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
    rows = []
    for name, result in results.items():
        measure = measure_of(result)
        scores = [_score(result.get(system), measure) for system in SYSTEMS]
        what = f"{result['dataset']}, {_MEASURES[measure]}"
        rows.append((f"`{name}`", what, _job(result), len(result["seeds"]), *scores, _difference(result)))
    head = ("", "data, measure", "job", "seeds", *SYSTEMS.values(), "federation − one place")
    return table(head, rows)


def _score(system: Json | None, measure: str) -> str:
    return "–" if not system else with_interval(system[measure], system["interval_95"])


def _difference(result: Json) -> str:
    gain = result["gains"].get("centralised")
    return "–" if not gain else minus("{:+.3f} ({:+.3f} to {:+.3f})".format(gain["token_f1"], *gain["interval_95"]))


def _job(result: Json) -> str:
    job = result["job"]
    strategy, local = job["strategy"], job["local"]
    parts = [
        f"{job['method']['kind']} {job['method']['place']} over {result['num_nodes']} nodes",
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
        what = f"{result['corrections']} {'wrong' if result['wrong'] else 'right'} corrections"
        rows.append((f"`{name}`", what, " → ".join(new), " → ".join(old), result["decision"].replace("_", " ")))
    return table(("", f"on {result['topic']}", "topic, live → candidate", "others, live → candidate", "gate"), rows)


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
    """One table an attack and set of figures: modes that are measured by the same ones stand together."""
    parts = []
    for result in results.values():
        report = result["report"]
        by_figures: dict[tuple[str, ...], list[Json]] = {}
        for outcome in report["outcomes"]:
            by_figures.setdefault(tuple(outcome["figures"]), []).append(outcome)
        for names, outcomes in by_figures.items():
            rows = [(o["mode"], *(_figure(o, name, len(names)) for name in names), o["verdict"]) for o in outcomes]
            parts.append(table((f"**{report['attack']}**", *names, "verdict"), rows))
    return "\n\n".join(parts)


def _figure(outcome: Json, name: str, beside: int) -> str:
    value, interval = outcome["figures"][name], outcome["intervals"].get(name)
    return with_interval(value, interval if beside <= _WIDE else None, 2) if interval else shown(value)
