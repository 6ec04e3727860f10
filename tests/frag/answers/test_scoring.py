import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.answers.scoring import exact_match, squad_normalise, token_f1, token_f1_similarity


def test_normalising_drops_case_punctuation_articles_and_spaces() -> None:
    assert squad_normalise("  The Dose, of an   Aspirin: 5-mg! ") == "dose of aspirin 5mg"
    assert squad_normalise("theatre") == "theatre"


def test_exact_match_takes_any_gold() -> None:
    assert exact_match("The Eiffel Tower.", ["tower", "eiffel tower"]) == 1.0
    assert exact_match("Eiffel", ["eiffel tower"]) == 0.0


def test_token_f1_by_hand() -> None:
    # predicted {5, mg, daily}, gold {5, mg, of, aspirin}: 2 shared, precision 2/3, recall 2/4
    assert token_f1("5 mg daily", ["5 mg of aspirin"]) == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    # multiset: "no no" shares one "no" with "no": precision 1/2, recall 1
    assert token_f1("no no", ["no"]) == pytest.approx(2 / 3)
    assert token_f1("aspirin", ["ibuprofen", "aspirin"]) == 1.0


def test_empty_answers_match_only_each_other() -> None:
    assert token_f1("the", [""]) == 1.0
    assert token_f1("", ["x"]) == 0.0
    assert exact_match("", ["the"]) == 1.0


def test_no_gold_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        token_f1("x", [])


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_the_matrix_holds_the_pairwise_f1(texts: list[str]) -> None:
    matrix = token_f1_similarity(texts)
    slow = [[token_f1(one, [other]) for other in texts] for one in texts]
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, slow, atol=1e-6)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1.0)
