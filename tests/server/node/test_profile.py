"""Publications: one an epoch, the same after a restart, paid before they are drawn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frag.policy_settings import DpSettings
from frag.privacy.ledger import Ledger
from frag.routing import ANCHOR_TEXTS, NUM_ANCHORS
from frag.settings import RoutingSettings
from server.node.profile import ProfileDesk, Voter, united
from tests.doubles import HashingEmbedder

EMBEDDER = HashingEmbedder(256)
DAY_S = 24 * 3600.0


class Silo:
    """A node's collections, and the clock."""

    def __init__(self, **collections: list[str]) -> None:
        self.collections = collections
        self.now = 10 * DAY_S

    def voters(self, paying: frozenset[str]) -> Mapping[str, Voter]:
        return {
            f"{name}/{text}": Voter(name, EMBEDDER.embed([text])[0], pays=name in paying)
            for name, texts in self.collections.items()
            for text in texts
        }


def desk(folder: Path, silo: Silo, *, claims_dp: frozenset[str] = frozenset(), **settings: Any) -> ProfileDesk:
    return ProfileDesk(
        file=folder / "profile.json",
        ledger_file=folder / "ledger.db",
        settings=RoutingSettings.model_construct(**({"noise_sd": 0.01} | settings)),  # less noise than is allowed
        embedder=EMBEDDER,
        voters=lambda: silo.voters(claims_dp),
        answers=DpSettings(epsilon=1000.0),
        clock=lambda: silo.now,
    )


def counted(place: ProfileDesk) -> int:
    place.publish_if_due()
    profile = place.current()
    assert profile is not None
    assert len(profile.counts) == NUM_ANCHORS
    return sum(profile.counts)


def test_the_same_noise_is_shown_until_the_epoch_ends_also_after_a_restart(tmp_path: Path) -> None:
    silo = Silo(documents=["a heart", "a river"])
    place = desk(tmp_path, silo, noise_sd=50.0)
    assert place.current() is None
    place.publish_if_due()
    first = place.current()
    silo.collections["documents"].append("a star")
    silo.now += DAY_S / 2
    place.publish_if_due()
    again = desk(tmp_path, silo, noise_sd=50.0)
    again.publish_if_due()
    assert place.current() == again.current() == first
    silo.now += DAY_S / 2
    again.publish_if_due()
    assert again.current() != first


def test_topics_are_counted_by_document(tmp_path: Path) -> None:
    texts = [ANCHOR_TEXTS[3], ANCHOR_TEXTS[7]]
    place = desk(tmp_path, Silo(documents=texts))
    assert counted(place) == 2
    profile = place.current()
    assert profile is not None
    assert (profile.counts[3], profile.counts[7]) == (1, 1)


def test_nothing_is_published_where_the_operator_forbids_it(tmp_path: Path) -> None:
    place = desk(tmp_path, Silo(documents=["a"]), publish=False)
    place.publish_if_due()
    assert place.current() is None
    assert not (tmp_path / "profile.json").exists()


def test_a_profile_of_another_embedder_is_not_shown_and_not_drawn_again(tmp_path: Path) -> None:
    silo = Silo(documents=["a"])
    counted(desk(tmp_path, silo))
    other = desk(tmp_path, silo)
    other.embedder = HashingEmbedder(256, seed="other")
    other.publish_if_due()
    assert other.current() is None


def test_every_unit_of_a_collection_that_claims_dp_pays_and_the_poor_stay_out(tmp_path: Path) -> None:
    silo = Silo(private=["a", "b", "c"], open=["d"])
    rho = 1 / (2 * 0.1**2)
    with_budget = {"claims_dp": frozenset({"private"}), "dp_rho": 1.5 * rho, "noise_sd": 0.1}
    ledger = Ledger.open(tmp_path / "ledger.db")
    ledger.charge({"private/b": "private"}, rho, 10 * rho)
    assert counted(desk(tmp_path, silo, **with_budget)) == 3, "b has spent too much already"
    assert [ledger.spent_by(f"private/{name}") for name in "abc"] == [rho] * 3
    assert ledger.spent_by("open/d") == 0
    silo.now += DAY_S
    assert counted(desk(tmp_path, silo, **with_budget)) == 1, "none of them can pay twice"
    ledger.close()


def test_publications_never_spend_more_than_the_budget_of_answers(tmp_path: Path) -> None:
    silo = Silo(private=["a"])
    place = desk(tmp_path, silo, claims_dp=frozenset({"private"}), dp_rho=1e9, noise_sd=0.1)
    place.answers = DpSettings(epsilon=1.0)
    assert counted(place) == 0


def test_all_documents_of_a_unit_are_one_voter() -> None:
    one, other = (
        Voter("notes", vector, pays=pays)
        for vector, pays in zip(np.eye(2, dtype=np.float32), (True, False), strict=True)
    )
    assert united([one, other]).pays
    np.testing.assert_allclose(united([one, other]).vector, [2**-0.5, 2**-0.5])


def test_a_collection_that_claims_dp_is_left_out_without_a_budget(tmp_path: Path) -> None:
    place = desk(tmp_path, Silo(private=["a", "b"]), claims_dp=frozenset({"private"}))
    assert counted(place) == 0
    assert not (tmp_path / "ledger.db").exists()


def test_a_ledger_that_cannot_be_written_leaves_its_collection_out(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database, and long enough to be seen as none" * 40)
    silo = Silo(private=["a", "b"], open=["c"])
    assert counted(desk(tmp_path, silo, claims_dp=frozenset({"private"}), dp_rho=1e9)) == 1


def test_what_fails_is_tried_once_an_epoch_and_costs_nothing_else(tmp_path: Path) -> None:
    from frag.errors import IndexStoreError

    silo = Silo(documents=["a"])
    place = desk(tmp_path, silo)
    tries = []

    def broken() -> Mapping[str, Voter]:
        tries.append(1)
        raise IndexStoreError("damaged")

    place.voters = broken
    place.publish_if_due()
    place.publish_if_due()
    assert (place.current(), len(tries)) == (None, 1)
    silo.now += DAY_S
    place.voters = lambda: silo.voters(frozenset())
    assert counted(place) == 1


def test_adding_a_unit_changes_one_count(tmp_path: Path) -> None:
    counts = []
    for number, texts in enumerate((["a heart", "a river"], ["a heart", "a river", "a star"])):
        (folder := tmp_path / str(number)).mkdir()
        place = desk(folder, Silo(documents=texts))
        counted(place)
        profile = place.current()
        assert profile is not None
        counts.append(np.array(profile.counts))
    assert np.abs(counts[1] - counts[0]).sum() == pytest.approx(1)
