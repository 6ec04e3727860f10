"""A language model for quick runs: it answers with the first sentence that it is shown, and obeys no order but by
repeating it."""

from frag.answers.statements import statements
from frag.types import GenerationRequest
from server.audit.stand_in import StandIn


class FirstSentenceModel(StandIn):
    """Looks at the passages alone."""

    name = "first-sentence"

    def written(self, request: GenerationRequest) -> str:
        found = statements(" ".join(request.passages))
        return found[0] if found else ""
