"""What options can be chosen from, so that `--help`, completion and the parser know it.

Written out a second time, since the modules that own these words are heavy to import; a test holds both together.
"""

from enum import StrEnum
from typing import Literal

Mode = Literal["none", "scrub", "consensus", "dp"]
FilteredMode = Literal["none", "scrub"]
Decoding = Literal["decoding", "keywords"]
Aggregation = Literal["best", "vote", "medoid", "synthesize"]
EncodingName = Literal["fp32", "fp16", "int8"]
Method = Literal["prompt", "p_tuning", "generator", "deep", "lora", "full"]
Where = Literal["before", "after"]
Strategy = Literal["fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "fedadagrad"]
Vectors = Literal["clustered", "passages"]


class Scope(StrEnum):
    """What an API key may do. An enumeration, since typer repeats only those."""

    QUERY = "query"
    TRAIN = "train"
    METRICS = "metrics"
    ADMIN = "admin"


ATTACKS = "protocol, byzantine, routing, decoding, training, membership, inversion, poison, injection or extraction"
"""Of `frag audit`; whether there is such a one is asked of the registry, which others may extend."""
