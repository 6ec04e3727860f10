"""Training updates that must not count: wrong in form, in round, in number, or not by whom they say."""

import secrets

import numpy as np

from frag.errors import UpdateError
from frag.quantization import Encoding, decode, encode
from frag.updates import Update, Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import Round
from prompt_tuning.strategies import make_strategy
from server.audit.abuse.case import Case
from server.coordinator.training.exchange import Exchange

_LIKE: Weights = {"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.float32)}
_JOB = JobSettings.model_validate({"name": "audit", "dataset": "none"})


def _good(**changes: object) -> Update:
    content = {"node_id": "n", "round_num": 0, "delta": {n: v + 1 for n, v in _LIKE.items()}, "num_examples": 5}
    return Update(**(content | changes))  # type: ignore[arg-type]


def _offer(update: Update, times: int = 1) -> None:
    """Raises when the round left the last of them out."""
    current = Round(_JOB, make_strategy(_JOB.strategy).init(_LIKE), 3)
    counted = [current.offer(update) for _ in range(times)]
    if not counted[-1]:
        raise UpdateError("left out")


def _with(name: str, value: object) -> Update:
    return _good(delta={**_good().delta, name: value})


def _unknown_ticket() -> object:
    exchange = Exchange()
    exchange.issue(b"weights", 100)
    return exchange.find(secrets.token_urlsafe(32))


def _withdrawn_ticket() -> object:
    exchange = Exchange()
    ticket = exchange.issue(b"weights", 100)
    exchange.withdraw(ticket)
    return exchange.find(ticket.code)


def cases() -> list[Case]:
    """Of a round, of the bytes of an update, and of tickets."""
    packed = encode(_LIKE)
    return [
        Case("a good update", lambda: _offer(_good()), honest=True),
        Case("good bytes", lambda: decode(packed, _LIKE), honest=True),
        Case("not a number", lambda: _offer(_with("b", np.full(4, np.nan, np.float32)))),
        Case("infinite", lambda: _offer(_with("b", np.full(4, np.inf, np.float32)))),
        Case("one number not finite", lambda: _offer(_with("b", np.array([0, 0, -np.inf, 0], np.float32)))),
        Case("wrong shape", lambda: _offer(_with("b", np.zeros(3, np.float32)))),
        Case("a shape that broadcasts", lambda: _offer(_with("a", np.zeros((1, 3), np.float32)))),
        Case("wrong dtype", lambda: _offer(_with("b", np.zeros(4, np.float64)))),
        Case("another tensor more", lambda: _offer(_with("c", np.zeros(4, np.float32)))),
        Case("a tensor less", lambda: _offer(_good(delta={"a": _LIKE["a"]}))),
        Case("over the bound of the sum", lambda: _offer(_with("b", np.full(4, 1e9, np.float32)))),
        Case("wrong round: before", lambda: _offer(_good(round_num=-1))),
        Case("wrong round: ahead", lambda: _offer(_good(round_num=1))),
        Case("no examples", lambda: _offer(_good(num_examples=0))),
        Case("less than none", lambda: _offer(_good(num_examples=-5))),
        Case("replay: a second update", lambda: _offer(_good(), times=2)),
        Case("bytes that are no file", lambda: decode(b"garbage", _LIKE)),
        Case("cut bytes", lambda: decode(packed[:-1], _LIKE)),
        Case("bytes of another encoding", lambda: decode(encode(_LIKE, Encoding.INT8), _LIKE)),
        Case("bytes of other tensors", lambda: decode(encode({"z": _LIKE["b"]}), _LIKE)),
        Case("a guessed ticket", _unknown_ticket),
        Case("replay: a ticket after its request", _withdrawn_ticket),
    ]
