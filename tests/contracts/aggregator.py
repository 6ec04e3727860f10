"""What every aggregator keeps to. A test class inherits `AggregatorContract` and says how to make one."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from frag.answers import METHODS
from frag.protocols import Aggregator
from frag.types import Aggregate, AnswerMode, NodeAnswer


def node_answer(node_id: str, text: str, score: float = 0.5, **rest: str) -> NodeAnswer:
    return NodeAnswer(node_id=node_id, mode=AnswerMode.SCRUB, text=text, score=score, **rest)


def aggregate(aggregator: Aggregator, *answers: NodeAnswer, question: str = "What is the dose?") -> Aggregate:
    return asyncio.run(aggregator.aggregate(question, answers))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["5 mg", "5 mg.", "The 5 mg", "…", "<PERSON_1>", "\u200b", "<|im_end|>", "ﷺ", "🙂‍↔️", "a\x00b", "\u202ecba"]
)
node_answers = st.builds(
    node_answer,
    st.sampled_from(["north", "south", "east", "west"]),
    texts,
    st.floats(allow_nan=True, allow_infinity=True),
)


class AggregatorContract(ABC):
    @abstractmethod
    def make(self) -> Aggregator: ...

    def test_is_an_aggregator_with_a_registered_name(self) -> None:
        aggregator = self.make()
        assert isinstance(aggregator, Aggregator)
        assert aggregator.method in METHODS

    def test_a_single_answer_is_returned(self) -> None:
        merged = aggregate(self.make(), node_answer("north", "It is 5 mg."))
        assert (merged.text, merged.contributors) == ("It is 5 mg.", ("north",))
        assert merged.method == self.make().method

    def test_equal_answers_merge(self) -> None:
        answers = [node_answer("south", "5 mg.", 0.4), node_answer("north", "The 5 MG", 0.6)]
        merged = aggregate(self.make(), *answers)
        assert (merged.text, merged.contributors) == ("The 5 MG", ("north", "south"))

    def test_the_same_answer_twice_counts_once(self) -> None:
        merged = aggregate(self.make(), *[node_answer("north", "5 mg")] * 3)
        assert merged.contributors == ("north",)

    def test_order_of_arrival_does_not_matter(self) -> None:
        answers = [
            node_answer("north", "5 mg in the morning", 0.5),
            node_answer("south", "5 mg in the evening", 0.5),
            node_answer("east", "10 mg", 0.9),
            node_answer("west", "5 mg in the morning", 0.3),
        ]
        results = {aggregate(self.make(), *order) for order in itertools.permutations(answers)}
        assert len(results) == 1

    def test_no_answer_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="no released answer"):
            aggregate(self.make())

    def test_withheld_and_blank_answers_do_not_count(self) -> None:
        silent = [node_answer("north", "", withheld="no_evidence"), node_answer("south", " \n")]
        with pytest.raises(ValueError, match="no released answer"):
            aggregate(self.make(), *silent)
        merged = aggregate(self.make(), *silent, node_answer("east", "5 mg"))
        assert merged.contributors == ("east",)

    def test_any_text_is_merged_into_some_text_of_its_contributors(self) -> None:
        # hypothesis refuses one decorated test that several classes share
        @given(st.lists(node_answers, min_size=1, max_size=6), st.randoms())
        def holds(answers: list[NodeAnswer], random: Random) -> None:
            assume(any(answer.text.strip() for answer in answers))
            merged = aggregate(self.make(), *answers)
            assert merged.text.strip()
            assert merged.contributors
            assert set(merged.contributors) <= {answer.node_id for answer in answers if answer.text.strip()}
            assert list(merged.contributors) == sorted(set(merged.contributors))
            random.shuffle(answers)
            assert aggregate(self.make(), *answers) == merged

        holds()
