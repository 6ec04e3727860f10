"""`medoid`: the answer that is nearest to all others.

Source: minimum Bayes risk decoding over given candidates (Kumar and Byrne 2004), with similarity as gain.
"""

import asyncio
from collections.abc import Sequence

import numpy as np

from frag.answers.candidates import Candidate, gather_candidates
from frag.answers.scoring import token_f1_similarity
from frag.protocols import Similarity
from frag.types import Aggregate, NodeAnswer

_DECIMALS = 5  # rounding noise of float32 must not decide between equals


class Medoid:
    """Right for longer answers, where nodes agree in other words. An outlier can win only against one other.

    Args:
        similarity: Texts to their [n, n] similarity matrix; runs in a thread.
    """

    method = "medoid"

    def __init__(self, similarity: Similarity = token_f1_similarity) -> None:
        self._similarity = similarity

    async def aggregate(self, question: str, answers: Sequence[NodeAnswer]) -> Aggregate:
        candidates = gather_candidates(answers)
        winner = candidates[0] if len(candidates) == 1 else await self._most_central(candidates)
        return Aggregate(text=winner.text, contributors=winner.node_ids, method=self.method)

    async def _most_central(self, candidates: Sequence[Candidate]) -> Candidate:
        similarity = await asyncio.to_thread(self._similarity, [candidate.text for candidate in candidates])
        symmetric = (np.asarray(similarity, dtype=np.float64) + np.asarray(similarity).T) / 2
        num_nodes = np.array([len(candidate.node_ids) for candidate in candidates], dtype=np.float64)
        centrality = np.nan_to_num(symmetric) @ num_nodes
        # argmax takes the first of equals, and candidates come best score first
        return candidates[int(np.argmax(centrality.round(_DECIMALS)))]
