"""What whoever collects a sum of votes for keywords tells the nodes: what is voted for, under whose terms."""

from collections.abc import Mapping, Sequence

import msgspec

from frag.errors import QuorumError, SecureSumError
from frag.privacy.keywords import Candidates, KeywordRule, rule_within
from frag.secagg import Parameters
from server.node.keyword_voting import KeywordStart, session_name
from server.wire.messages import KeywordTerms


def strictest(terms: Sequence[KeywordTerms]) -> KeywordRule:
    """Every node's own terms hold, so those of the most careful hold for all.

    Raises:
        QuorumError: So few nodes that those who may collude would be all that are left.
    """
    colluders = max(item.colluders for item in terms)
    parameters = Parameters(session="", num_nodes=len(terms), length=1)
    if parameters.min_survivors - colluders < 1:
        raise QuorumError(
            f"Of {len(terms)} nodes {parameters.min_survivors} may be left, of whom {colluders} may collude by the "
            "terms of a node.",
            "Connect more nodes, or lower `[policy.dp] colluders` there.",
        )
    return rule_within(min(item.rho for item in terms), num_nodes=len(terms), colluders=colluders)


def sum_start(question: str, candidates: Candidates, rule: KeywordRule, peers: Mapping[str, bytes]) -> bytes:
    """What the first stage says to every node. `peers` are raw public identities by node."""
    return msgspec.msgpack.encode(
        KeywordStart(
            question=question,
            candidates=candidates.words,
            noise_multiplier=rule.noise_multiplier,
            colluders=rule.colluders,
            max_votes=rule.max_votes,
            peers=dict(peers),
        )
    )


def sum_parameters(query_id: str, start: bytes, num_nodes: int, candidates: Candidates) -> Parameters:
    """Of the secure sum: a count for each candidate, and one of units."""
    return Parameters(session=session_name(query_id, start), num_nodes=num_nodes, length=len(candidates.words) + 1)


def unsummed(error: SecureSumError, failed: Mapping[str, str]) -> SecureSumError:
    """What the asker is told of a sum that did not come about; `failed` has a code for each node."""
    return SecureSumError(
        f"The votes could not be summed: {error.what}",
        "Mend the nodes in `failed`, then ask again; what was charged stays charged.",
        failed=[{"node": node, "code": code} for node, code in sorted(failed.items())],
    )
