"""The simulation's figures on a data set whose topics are its silos."""

from frag.routing import ANCHOR_TEXTS
from frag.types import Document
from server.evaluation.datasets import Dataset, LabelledQuestion
from server.evaluation.routing import RoutingPlan, evaluate_routing
from tests.doubles import HashingEmbedder


def test_routing_finds_the_silo_until_noise_drowns_it() -> None:
    topics = {f"source-{silo}": range(5 * silo, 5 * silo + 5) for silo in range(4)}
    documents = {
        name: [Document(document_id=f"{topic}-{copy}", text=ANCHOR_TEXTS[topic]) for topic in held for copy in range(3)]
        for name, held in topics.items()
    }
    questions = [
        LabelledQuestion(text=ANCHOR_TEXTS[topic], golds=("",), document_id=f"{topic}-{copy}")
        for held in topics.values()
        for topic in held
        for copy in range(3)
    ]
    plan = RoutingPlan(
        dataset=Dataset(name="topics", documents=documents, questions=questions),
        num_silos=4,
        noise_sds=[0, 0.5, 200],
        draws=4,
    )
    report = evaluate_routing(plan, HashingEmbedder(512), lambda *_: None)
    exact, mild, drowned = report["noise"]
    assert report["chance"] == {"1": 0.25, "2": 0.5, "3": 0.75, "4": 1.0}
    assert exact["recall"]["1"] >= 0.85, "a tenth is explored"
    assert exact["recall"]["2"] >= 0.9
    assert (exact["rho"], mild["rho"]) == (None, 2.0)
    assert mild["recall"]["1"] >= 0.6
    assert drowned["recall"]["1"] <= 0.55
    assert set(exact["hijack_top_2"]) == {"everything", "one_topic", "popular_topics", "copies_all"}
