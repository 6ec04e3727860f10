from frag.answers import make_aggregator
from frag.protocols import Aggregator
from frag.types import Generation, GenerationRequest
from tests.contracts.aggregator import AggregatorContract


async def _copying_model(request: GenerationRequest) -> Generation:
    text = " ".join(request.passages)
    return Generation(text=text, token_logprob=-0.1, num_prompt_tokens=1, num_new_tokens=1)


async def _babbling_model(request: GenerationRequest) -> Generation:
    text = f"A dragon ate {len(request.passages)} moons of Jupiter."
    return Generation(text=text, token_logprob=-0.1, num_prompt_tokens=1, num_new_tokens=1)


async def _silent_model(request: GenerationRequest) -> Generation:
    return Generation(text="", token_logprob=0.0, num_prompt_tokens=1, num_new_tokens=0)


class TestBest(AggregatorContract):
    def make(self) -> Aggregator:
        return make_aggregator("best")


class TestVote(AggregatorContract):
    def make(self) -> Aggregator:
        return make_aggregator("vote")


class TestMedoid(AggregatorContract):
    def make(self) -> Aggregator:
        return make_aggregator("medoid")


class TestSynthesizeWithACopyingModel(AggregatorContract):
    def make(self) -> Aggregator:
        return make_aggregator("synthesize", write=_copying_model)


class TestSynthesizeWithABabblingModel(AggregatorContract):
    def make(self) -> Aggregator:
        return make_aggregator("synthesize", write=_babbling_model)


class TestSynthesizeWithASilentModel(AggregatorContract):
    def make(self) -> Aggregator:
        return make_aggregator("synthesize", write=_silent_model)
