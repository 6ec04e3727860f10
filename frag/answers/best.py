"""`best`: the answer with the highest calibrated score; ties go to the first node id."""

from collections.abc import Sequence

from frag.answers.candidates import gather_candidates
from frag.types import Aggregate, NodeAnswer


class Best:
    """Right when one node holds the answer and the others do not know that they have none."""

    method = "best"

    async def aggregate(self, question: str, answers: Sequence[NodeAnswer]) -> Aggregate:
        winner = gather_candidates(answers)[0]
        return Aggregate(text=winner.text, contributors=winner.node_ids, method=self.method)
