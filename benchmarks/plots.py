"""Pictures of results where people would rather look than read."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sections import SYSTEMS, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Json = dict[str, Any]
Results = Mapping[str, Json]
Bar = tuple[str, float, Sequence[float]]
"""A label, a value, and the ends of its interval."""

_MARK = re.compile(r"<!-- figures ([0-9a-f]{64}) -->")


def train(results: Results, path: Path) -> None:
    bars: dict[str, Bar] = {}
    for name, result in results.items():
        for system in ("zero_shot", "federated", "centralised"):
            if scores := result.get(system):
                about = result["dataset"] if system == "zero_shot" else name.removeprefix("train-")
                label = f"{about}: {SYSTEMS[system]}"
                bars[label] = (label, scores[measure_of(result)], scores["interval_95"])
    _bars(path, list(bars.values()), "token F1 or accuracy")


def privacy(results: Results, path: Path) -> None:
    bars = [
        (f"{result['header']['dataset']}: {name}", row["token_f1"], row["interval_95"])
        for result in results.values()
        for name, row in result["settings"].items()
        if "units" not in name
    ]
    _bars(path, bars, "token F1")


def pii(results: Results, path: Path) -> None:
    systems = [pair for result in results.values() for pair in result["systems"].items()]
    found = [(name, system["held_out"]["recall"]) for name, system in systems]
    _bars(path, [(name, recall["value"], recall["interval_95"]) for name, recall in found], "recall, held out")


def first_event(results: Results, path: Path) -> None:
    clients = [pair for result in results.values() for pair in result["clients"].items()]
    _bars(
        path, [(name, w["p50_ms"], (w["p50_ms"], w["p95_ms"])) for name, w in clients], "ms to the first event", "p95"
    )


def lifelong(results: Results, path: Path) -> None:
    figure, axes = _axes(3.2)
    for result in results.values():
        for name, system in result["systems"].items():
            if curve := system.get("average_by_arrival"):
                axes.plot(range(1, len(curve) + 1), curve, marker="o", label=name)
    axes.set(xlabel="arrival", ylabel="accuracy over the domains so far", ylim=(0, 1))
    axes.legend(frameon=False)
    _save(figure, path)


def _bars(path: Path, bars: Sequence[Bar], label: str, ends: str = "95 % interval") -> None:
    figure, axes = _axes(0.7 + 0.3 * len(bars))
    names, values = [bar[0] for bar in bars], [bar[1] for bar in bars]
    gaps = [[value - low for _, value, (low, _) in bars], [high - value for _, value, (_, high) in bars]]
    axes.barh(names, values, color="#3b6ea5", height=0.62)
    axes.errorbar(values, names, xerr=gaps, fmt="none", ecolor="#222222", capsize=3, linewidth=1)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{label}; lines: {ends}")
    _save(figure, path)


def _axes(height: float) -> tuple["Figure", "Axes"]:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "frag", "svg.fonttype": "none"})  # the same small file for the same figures
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: "Figure", path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw(kind: str, results: Results, path: Path, figures: str) -> None:
    """Draws into an SVG file, which tells the hash of the `figures` that it shows."""
    PICTURES[kind][1](results, path)
    drawn = path.read_text(encoding="utf-8")
    path.write_text(drawn.rstrip() + f"\n<!-- figures {figures} -->\n", encoding="utf-8")


def drawn_from(path: Path) -> str:
    """The hash of the figures that a picture shows; empty without one."""
    found = _MARK.search(path.read_text(encoding="utf-8"))
    return found[1] if found else ""


PICTURES: dict[str, tuple[str, Callable[[Results, Path], None]]] = {
    "first_event": ("Time to the first event by client, to p95", first_event),
    "train": ("Scores by job and system, with 95 % intervals", train),
    "lifelong": ("Accuracy over the domains so far, by arrival", lifelong),
    "privacy": ("Token F1 by answer mode, with 95 % intervals", privacy),
    "pii": ("Recall by recogniser, with 95 % intervals", pii),
}
"""Kinds of result that have a picture: what it shows, and who draws it."""
