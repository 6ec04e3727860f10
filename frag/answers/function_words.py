"""Small words of English that carry no fact of their own."""

FUNCTION_WORDS = frozenset(
    """
    a about after all although also an and any are as at be because been before between both but by can could did
    do does during each either every for from had has have he her here his how however i if in into is it its many
    may more most much my neither never no none not of on one only or other our out over several she should since so
    some such than that the their them then there these they this those though through to under until up was we were
    what when where which while who whom whose why will with within without would yes you your
    """.split()  # noqa: SIM905 (a list of words reads better as words)
)
