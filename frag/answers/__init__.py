"""Merging the answers of several nodes into one: one method per file, each an `Aggregator`."""

from frag.answers.best import Best
from frag.answers.medoid import Medoid
from frag.answers.scoring import token_f1_similarity
from frag.answers.synthesize import Synthesize, Write, WriteAloud
from frag.answers.vote import Vote
from frag.errors import BadRequestError
from frag.protocols import Aggregator, Similarity

__all__ = ["METHODS", "Best", "Medoid", "Synthesize", "Vote", "Write", "WriteAloud", "make_aggregator"]

METHODS = ("best", "vote", "medoid", "synthesize")


def make_aggregator(
    method: str,
    *,
    similarity: Similarity | None = None,
    write: Write | None = None,
    write_aloud: WriteAloud | None = None,
) -> Aggregator:
    """Makes the aggregator that a request names.

    Args:
        method: One of `METHODS`.
        similarity: For `medoid`; token F1 if left out.
        write: For `synthesize`, which needs it: generates with the coordinator's own language model.
        write_aloud: For `synthesize`, to let its text be watched while it is written.

    Raises:
        BadRequestError: The method is unknown, or is `synthesize` and there is no language model.
    """
    match method:
        case "best":
            return Best()
        case "vote":
            return Vote()
        case "medoid":
            return Medoid(similarity or token_f1_similarity)
        case "synthesize" if write is not None:
            return Synthesize(write, write_aloud=write_aloud)
        case "synthesize":
            raise BadRequestError(
                "This coordinator has no language model to synthesize with.",
                "Choose best, vote or medoid, or configure a language model.",
            )
        case _:
            raise BadRequestError(
                f"There is no aggregation method {method[:40]!r}.",
                f"Use one of: {', '.join(METHODS)}.",
                methods=list(METHODS),
            )
