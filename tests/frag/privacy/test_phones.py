import pytest

from frag.privacy.phones import may_be_a_phone


@pytest.mark.parametrize("number", ["467 3395", "555-1234", "0494 92 82 32", "(99) 645-791", "+49 30 901820"])
def test_phone_numbers(number: str) -> None:
    assert may_be_a_phone(number)


@pytest.mark.parametrize("number", ["1939", "(973-1048", "2009\u20132010", "12 - 20", "1 000 000", "1" * 16])
def test_other_rows_of_digits(number: str) -> None:
    assert not may_be_a_phone(number)
