"""What a node trains on fits the job's objective."""

import pytest

from frag.errors import DatasetError
from prompt_tuning.dataset import make_example
from prompt_tuning.job import JobSettings
from server.node.training.desk import fitting

QUESTION = make_example(question="Who?", answers=("Ann",))
TEXT = make_example(text="Ann keeps the key.")


@pytest.mark.parametrize(("objective", "fits"), [("supervised", QUESTION), ("causal_lm", TEXT)])
def test_a_mixed_data_set_gives_what_the_objective_learns_from(objective: str, fits: object) -> None:
    job = JobSettings.model_validate({"name": "a", "dataset": "b", "objective": objective})
    assert fitting([QUESTION, TEXT], job) == [fits]
    other = TEXT if fits is QUESTION else QUESTION
    with pytest.raises(DatasetError, match=objective):
        fitting([other], job)
