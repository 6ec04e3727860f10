"""A dry run: what would be released for a question, made by the parts that would release it. Nothing leaves."""

import asyncio

import msgspec

from frag.types import AnswerMode
from server.node.answering import NodeAnswering
from server.wire.answers import reply_message
from server.wire.messages import Ask, Reply


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer in mode `dp` would cost each of `num_units` units: ρ, and what share of its life's budget that is.

    `num_exhausted` others are near the question and have not so much left.
    """

    rho: float
    share_of_budget: float
    num_units: int
    num_exhausted: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """`reply` is the message as it would travel. None in mode `dp`, where an answer that is seen is an answer that is
    spent: then `charge` says what it would cost. `sources` names the documents behind the pseudonyms; it stays here."""

    reply: Reply | None = None
    sources: dict[str, str] = {}
    charge: Charge | None = None
    release_stopped: bool = False


async def preview(answering: NodeAnswering, ask: Ask, *, release_stopped: bool) -> Preview:
    """Answers `ask` as far as the node, and no farther. Counts against the node's questions a minute."""
    if ask.answer_mode is AnswerMode.DP and answering.private is not None:
        price = await asyncio.to_thread(answering.private.price, ask.question)
        charge = Charge(
            rho=price.rho,
            share_of_budget=price.rho / price.rho_limit,
            num_units=price.num_able,
            num_exhausted=price.num_units - price.num_able,
        )
        return Preview(charge=charge, release_stopped=release_stopped)
    reply = reply_message(ask.request_id, await answering.answer(ask))
    aliases = [citation.document_alias for citation in reply.citations]
    sources = await asyncio.to_thread(answering.resolve, aliases)
    return Preview(reply=reply, sources=sources, release_stopped=release_stopped)
