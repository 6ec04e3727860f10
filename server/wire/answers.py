"""Released answers as they travel, and back."""

from frag.types import Citation, NodeAnswer, Scale
from server.wire.messages import Reply, WireCitation, WireScale


def reply_message(request_id: int, answer: NodeAnswer) -> Reply:
    """The answer as it goes over the wire; the node's name is known by its connection or its key."""
    return Reply(
        request_id=request_id,
        mode=answer.mode,
        text=answer.text,
        withheld=answer.withheld,
        score=answer.score,
        token_logprob=min(0.0, answer.token_logprob),
        prompt_version=answer.prompt_version,
        redactions=dict(answer.redactions),
        citations=tuple(WireCitation(c.document_alias, c.score) for c in answer.citations),
        timings_ms=dict(answer.timings_ms),
        epsilon=answer.epsilon,
        delta=answer.delta,
        embedder=answer.embedder,
        scale=WireScale(answer.scale.slope, answer.scale.offset) if answer.scale else None,
    )


def node_answer(node_id: str, reply: Reply) -> NodeAnswer:
    """What `node_id` said; a withheld answer has no text, whatever the peer sent."""
    return NodeAnswer(
        node_id=node_id,
        mode=reply.mode,
        text="" if reply.withheld else reply.text,
        withheld=reply.withheld,
        score=reply.score,
        token_logprob=reply.token_logprob,
        prompt_version=reply.prompt_version,
        redactions=reply.redactions,
        citations=tuple(Citation(document_alias=c.document_alias, score=c.score) for c in reply.citations),
        timings_ms=reply.timings_ms,
        epsilon=reply.epsilon,
        delta=reply.delta,
        embedder=reply.embedder,
        scale=Scale(slope=reply.scale.slope, offset=reply.scale.offset) if reply.scale else None,
    )
