"""`vote`: the answer with the largest sum of scores over the nodes that gave it."""

from collections.abc import Sequence

from frag.answers.candidates import gather_candidates
from frag.types import Aggregate, NodeAnswer


class Vote:
    """Right for short answers, where agreement shows in equal words. Ties go to the best single score."""

    method = "vote"

    async def aggregate(self, question: str, answers: Sequence[NodeAnswer]) -> Aggregate:
        # max keeps the first of equals, and candidates come best score first
        winner = max(gather_candidates(answers), key=lambda candidate: candidate.weight)
        return Aggregate(text=winner.text, contributors=winner.node_ids, method=self.method)
