"""The messages of one connection. Every field that a peer fills is bounded here, before anything reads it.

Order on a connection: Challenge → Proof → Welcome → Ready, then Ask and Cancel one way, Reply and Failed the
other.
"""

import math
from typing import Annotated, Literal

import msgspec

from frag.routing.profiles import Profile
from frag.sealing import KeyCard
from frag.types import AnswerMode, RetrievalMode

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 1 << 20
MAX_QUESTION_CHARS = 8_000
MAX_ANSWER_CHARS = 32_000
MAX_JOB_CHARS = 64_000
MAX_SEALED_ASK_BYTES = 1 << 16
MAX_SEALED_REPLY_BYTES = 1 << 18
MAX_FEEDBACK_BYTES = 1 << 15

Question = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUESTION_CHARS)]
NodeId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}$")]
Nonce = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Ticket = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")]
"""The right to fetch and bring for one request: 256 random bits, told to one node over its own connection."""
Version = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{0,80}$")]
AnswerVersion = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{0,80}(\+personal)?$")]
"""What an answer was written with: a version, or what a node has made of it for itself."""
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
RequestId = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
SealedId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
SealedAskBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_SEALED_ASK_BYTES)]
FeedbackBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_FEEDBACK_BYTES)]
Deadline = Annotated[float, msgspec.Meta(gt=0, le=600)]
QueryId = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?$")]
TraceParent = Annotated[str, msgspec.Meta(pattern=r"^(00-[0-9a-f]{32}-[0-9a-f]{16}-0[01])?$")]
"""Where a request stands in a trace, after W3C Trace Context; empty: in none."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Root of all messages; the tag is the lower-case class name."""

    def __repr__(self) -> str:
        """The kind alone: questions and answers stay out of logs and traces."""
        return f"{type(self).__name__}()"


class Challenge(Message, frozen=True, kw_only=True, tag="challenge"):
    protocol_version: int
    server_nonce: Nonce


class Proof(Message, frozen=True, kw_only=True, tag="proof"):
    protocol_version: int
    node_id: NodeId
    node_nonce: Nonce
    spki_sha256: Nonce
    signature: Signature


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    signature: Signature


class Refused(Message, frozen=True, kw_only=True, tag="refused"):
    """Ends the handshake; `code` says why."""

    code: Name


MIN_KEYWORD_RHO = 1e-6
"""Below it the noise would outgrow the ring."""


class KeywordTerms(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Under what a node votes for keywords: ρ of a vote at most, nodes that may collude, what it claims for a unit over
    all answers, and whether it believes a signed roster about its peers."""

    rho: Annotated[float, msgspec.Meta(ge=MIN_KEYWORD_RHO, le=1000)]
    colluders: Annotated[int, msgspec.Meta(ge=0, le=100)]
    epsilon: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    delta: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    is_pinned: bool


class DriftSign(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All that a node tells of drift: how strong the last sign of it was, and whether it stands."""

    strength: Annotated[float, msgspec.Meta(ge=0, le=1)]
    is_seen: bool


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """What a node says about itself once both sides are known."""

    version: Annotated[str, msgspec.Meta(max_length=64)]
    answer_modes: Annotated[tuple[AnswerMode, ...], msgspec.Meta(max_length=8)]
    embedder_fingerprint: Annotated[str, msgspec.Meta(max_length=128)]
    num_documents: Count
    datasets: Annotated[tuple[Name, ...], msgspec.Meta(max_length=1000)] = ()
    prompt_version: Version = ""
    sealing_key: KeyCard | None = None
    profile: Profile | None = None
    keywords: KeywordTerms | None = None
    withholds: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{0,64}$")] = ""
    """Why no question is answered now; empty while they are."""
    personal_gain: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    """Part of the loss that the node's own form of the live prompt saves there; None where it answers with none."""
    dataset_sizes: Annotated[dict[Name, Count], msgspec.Meta(max_length=1000)] = {}
    """Examples of data sets, from nodes whose updates tell their number anyway."""
    drift: DriftSign | None = None
    """None where the node watches for none."""


class Ask(Message, frozen=True, kw_only=True, tag="ask"):
    request_id: RequestId
    question: Question
    top_k: Annotated[int, msgspec.Meta(ge=1, le=100)]
    answer_mode: AnswerMode
    retrieval: RetrievalMode
    retrieve_only: bool
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=600)]
    traceparent: TraceParent = ""
    query_id: QueryId = ""
    """By which feedback will name the question; empty: there will be none."""


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    request_id: RequestId


class SealedAsk(Message, frozen=True, kw_only=True, tag="sealed_ask"):
    """A question that only its node can open. `sealed_id` is the asker's own name for it and part of the seal."""

    request_id: RequestId
    sealed_id: SealedId
    envelope: SealedAskBytes
    deadline_s: Deadline


class Train(Message, frozen=True, kw_only=True, tag="train"):
    """One round of a job. Weights are fetched, and the update brought, at the ticket's address."""

    request_id: RequestId
    job_id: Name
    round_num: Count
    job: Annotated[str, msgspec.Meta(max_length=MAX_JOB_CHARS)]
    base_model: Digest
    weights_sha256: Digest
    ticket: Ticket
    evaluate: bool
    train: bool


SumStageName = Literal["keys", "shares", "masked", "confirm", "unmask"]
MAX_SUM_BYTES = 1 << 18


class SumStage(Message, frozen=True, kw_only=True, tag="sum_stage"):
    """One stage of a secure sum of a round's updates; `content` is a message of `frag.secagg`. The masked vector itself
    is brought at the ticket's address."""

    request_id: RequestId
    job_id: Name
    round_num: Count
    weights_sha256: Digest
    stage: SumStageName
    content: Annotated[bytes, msgspec.Meta(max_length=MAX_SUM_BYTES)]
    ticket: Ticket = ""


class KeywordStage(Message, frozen=True, kw_only=True, tag="keyword_stage"):
    """One stage of the secure sum of votes for keywords; `content` is a message of `frag.secagg`."""

    request_id: RequestId
    query_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
    stage: SumStageName
    content: Annotated[bytes, msgspec.Meta(max_length=MAX_SUM_BYTES)]


class Promote(Message, frozen=True, kw_only=True, tag="promote"):
    """Answer with this version from now on; an empty one is the model as it is."""

    request_id: RequestId
    version: Version
    sha256: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
    ticket: Ticket


class Feedback(Message, frozen=True, kw_only=True, tag="feedback"):
    """A `frag.feedback.Remark` that only its node can open. `key` stands for the API key, by another pseudonym at each
    node."""

    request_id: RequestId
    query_id: SealedId
    key: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    envelope: FeedbackBytes


class WireCitation(msgspec.Struct, frozen=True, array_like=True):
    document_alias: Name
    score: Annotated[float, msgspec.Meta(ge=-1.001, le=1.001)]


class WireScale(msgspec.Struct, frozen=True, array_like=True):
    """See `frag.types.Scale`."""

    slope: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    offset: Annotated[float, msgspec.Meta(ge=-1000, le=1000)]


class Reply(Message, frozen=True, kw_only=True, tag="reply"):
    request_id: RequestId
    mode: AnswerMode
    text: Annotated[str, msgspec.Meta(max_length=MAX_ANSWER_CHARS)] = ""
    withheld: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{0,64}$")] = ""
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    token_logprob: Annotated[float, msgspec.Meta(le=0)] = 0.0
    prompt_version: AnswerVersion = ""
    redactions: dict[Name, Count] = {}
    citations: Annotated[tuple[WireCitation, ...], msgspec.Meta(max_length=100)] = ()
    timings_ms: dict[Name, Annotated[float, msgspec.Meta(ge=0)]] = {}
    epsilon: Annotated[float, msgspec.Meta(ge=0)] = math.inf
    delta: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    embedder: Annotated[str, msgspec.Meta(max_length=128)] = ""
    scale: WireScale | None = None


class SealedReply(Message, frozen=True, kw_only=True, tag="sealed_reply"):
    """What a node says to a `SealedAsk`: a `Reply`, which only the asker can open."""

    request_id: RequestId
    envelope: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_SEALED_REPLY_BYTES)]


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The node could not answer this request; the connection lives on."""

    request_id: RequestId
    code: Name


class Progress(Message, frozen=True, kw_only=True, tag="progress"):
    """Steps of a `Train` request so far, and the loss of the last."""

    request_id: RequestId
    step: Count
    num_steps: Count
    loss: Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]


class Trained(Message, frozen=True, kw_only=True, tag="trained"):
    """A `Train` request is done; the update, if one was asked for, has been brought."""

    request_id: RequestId
    num_examples: Count
    metrics: Annotated[dict[Name, float], msgspec.Meta(max_length=32)]
    update_sha256: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")] = ""


class Summed(Message, frozen=True, kw_only=True, tag="summed"):
    """What a node says to a stage of a secure sum; empty where it has brought a vector, and itself the vector where
    that is of votes for keywords."""

    request_id: RequestId
    content: Annotated[bytes, msgspec.Meta(max_length=MAX_SUM_BYTES)] = b""


class Promoted(Message, frozen=True, kw_only=True, tag="promoted"):
    """The version of a `Promote` request is live."""

    request_id: RequestId


class Noted(Message, frozen=True, kw_only=True, tag="noted"):
    """Feedback is durable at the node; not what becomes of it."""

    request_id: RequestId


ToNode = Challenge | Welcome | Refused | Ask | SealedAsk | Cancel | Train | Promote | SumStage | KeywordStage | Feedback
ToCoordinator = Proof | Ready | Reply | SealedReply | Failed | Progress | Trained | Promoted | Summed | Noted
