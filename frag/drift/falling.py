"""Whether confidence has fallen and abstention has risen, against what was usual: one-sided tests without assumptions
about distributions (Mann and Whitney 1947; Fisher 1922)."""

from collections.abc import Sequence


def confidence_p_value(reference: Sequence[float], window: Sequence[float]) -> float:
    """How rarely the scores of answers would be as much lower by chance; 1 when there are none to compare."""
    from scipy.stats import mannwhitneyu

    if not reference or not window:
        return 1.0
    return float(mannwhitneyu(window, reference, alternative="less").pvalue)


def abstention_p_value(reference: Sequence[bool], window: Sequence[bool]) -> float:
    """How rarely as many abstentions would come by chance."""
    from scipy.stats import fisher_exact

    if not reference or not window:
        return 1.0
    table = [[sum(window), len(window) - sum(window)], [sum(reference), len(reference) - sum(reference)]]
    return float(fisher_exact(table, alternative="greater").pvalue)
