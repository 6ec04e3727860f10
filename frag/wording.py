"""Sentences that askers are shown in more than one place."""

from collections.abc import Collection

_NO_EVIDENCE = "No node has evidence for an answer that it may release."
_OF_DOCUMENTS = frozenset({"no_evidence", "no_answer", "nothing_left", "held_back", "no_documents"})
_ALONE = {
    "mode_not_allowed": "No node answers in this mode.",
    "release_stopped": "The operators of the nodes let nothing out now.",
    "rate_limited": "The nodes have answered as many questions as they do in a minute.",
    "no_language_model": "The nodes have no language model to answer with.",
}


def why_nothing(reasons: Collection[str], num_failed: int = 0) -> str:
    """Why there is no answer, in a sentence.

    Args:
        reasons: For which nodes withheld theirs.
        num_failed: Nodes that did not reply.
    """
    other = {reason for reason in reasons if reason not in _OF_DOCUMENTS}
    if num_failed and not reasons:
        return "No node replied."
    if len(set(reasons)) == 1 and other <= _ALONE.keys() and other and not num_failed:
        return _ALONE[next(iter(other))]
    if other:
        return f"No node gave an answer; reasons: {', '.join(sorted(set(reasons)))}."
    return _NO_EVIDENCE
