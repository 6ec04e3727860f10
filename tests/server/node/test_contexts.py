"""Examples are joined with passages as the job says; negatives hold no answer."""

from prompt_tuning.dataset import make_example
from prompt_tuning.job import JobSettings
from server.node.training.contexts import join_passages

EXAMPLES = [
    make_example(
        question=f"Who keeps key {n}?", answers=(f"porter {n}",), passages=(f"Porter {n} keeps key {n}.", "B.")
    )
    for n in range(40)
]


def look_up(question: str, number: int) -> list[str]:
    n = question.rsplit(maxsplit=1)[-1].rstrip("?")
    return [f"PORTER {n} was seen.", "Nobody knows.", "The house is old."][:number]


def job(**context: object) -> JobSettings:
    return JobSettings.model_validate({"name": "a", "dataset": "b", "context": context})


def test_given_retrieved_or_none() -> None:
    assert join_passages(EXAMPLES[:1], job(), look_up)[0].passages == ("Porter 0 keeps key 0.",)
    assert join_passages(EXAMPLES[:1], job(num_passages=2), look_up)[0].passages == EXAMPLES[0].passages
    found = join_passages(EXAMPLES[:1], job(source="retrieved", num_passages=2), look_up)
    assert found[0].passages == ("PORTER 0 was seen.", "Nobody knows.")
    assert join_passages(EXAMPLES[:1], job(source="none"), look_up)[0].passages == ()


def test_negatives_are_a_share_and_the_same_each_time() -> None:
    joined = join_passages(EXAMPLES, job(negatives=0.5), look_up)
    negatives = [example for example in joined if example.answers == ("Not found.",)]
    assert 10 <= len(negatives) <= 30
    assert all(example.passages == ("Nobody knows.",) for example in negatives), "the best passage without the answer"
    assert joined == join_passages(EXAMPLES, job(negatives=0.5), look_up)
    kept = [example for example in joined if example.answers != ("Not found.",)]
    assert all(example.passages[0].startswith("Porter") for example in kept)


def test_plain_text_needs_no_passage() -> None:
    texts = [make_example(text="A long text.")]
    causal = JobSettings.model_validate({"name": "a", "dataset": "b", "objective": "causal_lm"})
    assert join_passages(texts, causal, look_up) == texts
