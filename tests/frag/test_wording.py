"""Why there is no answer, in a sentence that is true."""

import pytest

from frag.wording import why_nothing


@pytest.mark.parametrize(
    ("reasons", "num_failed", "says"),
    [
        ([], 0, "No node has evidence"),
        (["no_evidence", "no_answer"], 0, "No node has evidence"),
        (["no_evidence"], 1, "No node has evidence"),
        ([], 2, "No node replied"),
        (["mode_not_allowed", "mode_not_allowed"], 0, "in this mode"),
        (["release_stopped"], 0, "let nothing out"),
        (["release_stopped", "no_evidence"], 0, "reasons: no_evidence, release_stopped"),
        (["made_up"], 0, "reasons: made_up"),
    ],
)
def test_the_reason_is_told(reasons: list[str], num_failed: int, says: str) -> None:
    assert says in why_nothing(reasons, num_failed)
