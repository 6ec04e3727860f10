import pytest

from frag.answers.abstention import NO_ANSWER, says_nothing


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n…!",
        NO_ANSWER,
        "Not found in the passages.",
        "I don't know.",
        "I don’t know the answer",
        "Sorry, but I could not find this.",
        "The passages do not mention the dose.",
        "The provided context doesn't contain an answer.",
        "No information about this is given.",
        "There is no information on it.",
        "It is not specified in the text.",
        "The answer is unknown.",
        "N/A",
        "None",
    ],
)
def test_statements_that_nothing_was_found(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "None of the patients had a fever.",
        "Unknown bacteria caused it.",
        "It was not found in the liver.",
        "It is not known to cause cancer.",
        "The information is not available to the public.",
        "There is no evidence that it helps.",
        "No answers were accepted after 1990, the court held.",
        "5 mg",
        "北京",
        "I don't know " + "who wrote it, but " * 10 + "it was in 1984.",
    ],
)
def test_answers_that_only_look_like_it(text: str) -> None:
    assert not says_nothing(text)
