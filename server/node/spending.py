"""What the node's operator sees of the ledger: budgets by collection, how much of them is spent, a plot."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from frag.privacy.accounting import epsilon_of_rho, rho_within
from frag.privacy.ledger import Ledger, Spent
from server.node.policy import NodePolicy
from server.node.private_answering import decoding_rule
from server.node.state import NodeFolder
from server.tables import plain_table, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


NOTHING_CLAIMED = "No collection answers in mode dp: nothing is claimed of what answers tell of a unit."


class CollectionSpending(msgspec.Struct, frozen=True, kw_only=True):
    """Of one collection or data set. ε and δ hold for a single unit: answers, training, and both together.

    `shares` are what each unit that was ever charged has spent of its ρ, ascending, in [0, 1].
    """

    collection: str
    num_units: int
    num_exhausted: int
    num_answers: int
    answers_epsilon: float
    training_epsilon: float
    epsilon: float
    delta: float
    shares: list[float]


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """Of a node. The budget is that of a unit of the collections `under_dp` for its whole life, answers alone.

    `accepted` are changes against what units were promised before, each with its time (UTC).
    """

    node_id: str
    budget_epsilon: float
    budget_delta: float
    rho_of_an_answer: float
    collections: list[CollectionSpending]
    accepted: list[tuple[str, str]] = []
    under_dp: list[str] = []


def describe_spending(folder: NodeFolder) -> Spending:
    """Reads the ledger. Raises SettingsError or LedgerError; a node without a ledger has spent nothing."""
    settings = folder.settings()
    budget = settings.policy.dp
    limit, price = rho_within(budget.epsilon, budget.delta), decoding_rule(budget).rho
    collections: list[CollectionSpending] = []
    accepted: list[tuple[str, str]] = []
    if folder.ledger.exists():
        ledger = Ledger.open(folder.ledger)
        try:
            collections = [
                _of_collection(spent, ledger.spends(spent.collection), limit, price, budget.delta)
                for spent in ledger.summary()
            ]
            accepted = ledger.accepted()
        finally:
            ledger.close()
    return Spending(
        node_id=settings.node_id,
        budget_epsilon=budget.epsilon,
        budget_delta=budget.delta,
        rho_of_an_answer=price,
        collections=collections,
        accepted=accepted,
        under_dp=sorted(NodePolicy(settings.policy, settings.collections).under_dp()),
    )


def _of_collection(spent: Spent, spends: list[float], limit: float, price: float, delta: float) -> CollectionSpending:
    answers = epsilon_of_rho(spent.max_rho, delta)
    return CollectionSpending(
        collection=spent.collection,
        num_units=spent.num_units,
        num_exhausted=sum(rho + price > limit for rho in spends),
        num_answers=spent.num_answers,
        answers_epsilon=answers,
        training_epsilon=spent.training_epsilon,
        epsilon=answers + spent.training_epsilon,
        delta=(delta if spent.max_rho else 0.0) + spent.training_delta,
        shares=[min(1.0, rho / limit) for rho in spends],
    )


def print_spending(spending: Spending) -> None:
    """A line a collection; `spent` is the mean share of the budget that its units have spent."""
    console = Console()
    if spending.under_dp:
        bound = f"ε = {spending.budget_epsilon:g} (δ = {spending.budget_delta:g})"
        units = f"all answers about a unit of {', '.join(spending.under_dp)}"
        console.print(f"{spending.node_id}: {bound} for {units}, ρ = {spending.rho_of_an_answer:.4g} an answer")
    else:
        console.print(f"{spending.node_id}: {NOTHING_CLAIMED}")
    if not spending.collections:
        console.print("Nothing has been spent.")
        return
    table = plain_table(padding=1)
    table.add_column("collection", overflow="fold")
    for name in (
        "units\ncharged",
        "units\nspent up",
        "charges",
        "ε of\nanswers",
        "ε of\ntraining",
        "ε in\nall",
        "δ in\nall",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("spent,\nmean", justify="right", no_wrap=True)
    for item in spending.collections:
        mean = sum(item.shares) / len(item.shares) if item.shares else 0.0
        table.add_row(
            item.collection,
            *(str(number) for number in (item.num_units, item.num_exhausted, item.num_answers)),
            *(f"{number:.3f}" for number in (item.answers_epsilon, item.training_epsilon, item.epsilon)),
            f"{item.delta:g}",
            f"{mean:.0%}",
        )
    print_table(table)
    console.print("ε is that of the unit that has spent most; it counts for each unit alone.", style="dim")
    for when, change in spending.accepted:
        console.print(f"accepted {when}: {change}")


def plot_spending(spending: Spending, file: Path) -> None:
    """Writes a picture: how many units have spent which share of their budget, by collection."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [item for item in spending.collections if item.shares]
    figure, axes = plt.subplots(
        max(1, len(shown)), 1, figsize=(7, 1 + 2.2 * max(1, len(shown))), squeeze=False, layout="constrained"
    )
    for axis, item in zip(axes[:, 0], shown, strict=False):
        _plot_collection(axis, item)
    axes[-1, 0].set_xlabel("share of the budget that is spent")
    figure.suptitle(f"{spending.node_id}: ε = {spending.budget_epsilon:g} a unit, for all answers")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _plot_collection(axis: "Axes", item: CollectionSpending) -> None:
    axis.hist(item.shares, bins=[number / 20 for number in range(21)], color="#3b6ea5")
    axis.set_xlim(0, 1)
    axis.set_ylabel("units")
    axis.set_title(f"{item.collection}: {item.num_units} charged, {item.num_exhausted} exhausted", fontsize=10)
