"""The hijack attracts everything where claims are believed, and a bounded share where they are not."""

import numpy as np

from frag.routing import NUM_ANCHORS
from server.audit.routing import routing_hijack
from tests.frag.routing.test_chooser import NODES, about, federation

TOPICS = np.random.default_rng(0).integers(0, 10 * NODES, 400)
AFFINITY = 0.6 * np.stack([about(topic) for topic in TOPICS]) + 0.4 / NUM_ANCHORS
RIGHT = [f"n{topic // 10}" for topic in TOPICS]


def test_claims_that_are_believed_attract_everything() -> None:
    for attack, figures in routing_hijack(federation(), AFFINITY, RIGHT, number=1).items():
        assert figures["even"] == {"attracted": round(1 / 7, 4)}
        if attack != "copies_all":
            assert figures["before"]["attracted"] == 1.0
            assert figures["before"]["recall"] == 0.0


def test_the_defence_bounds_what_each_attack_attracts() -> None:
    for number in (1, 2):
        found = routing_hijack(federation(), AFFINITY, RIGHT, number)
        for attack, figures in found.items():
            assert figures["after"]["attracted"] <= 2 * number / (NODES + 1) + 0.05, attack
            assert figures["after"]["recall"] >= 0.65, attack
        assert found["everything"]["after"]["recall"] >= 0.85, "a tenth is explored"
