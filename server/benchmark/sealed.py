"""What sealing one question to one node costs: time of each step, and bytes on the wire against the open message."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.sealing import REQUEST_ID_BYTES, info_of, require_signature, seal, unseal
from frag.types import AnswerMode, RetrievalMode
from server.sealed.contents import Inquiry, decode_inquiry, encode_inquiry
from server.wire.codec import encode
from server.wire.messages import Ask

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedReport:
    """Medians, µs. `seal_us` signs, pads and encrypts; `open_us` decrypts and checks the signature."""

    question_chars: int
    runs: int
    key_us: float
    seal_us: float
    open_us: float
    open_message_bytes: int
    envelope_bytes: int


def measure_sealed(question_chars: int, runs: int) -> SealedReport:
    """One question, sealed and opened `runs` times in this process. The reply costs the same once more."""
    asker, node = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    ask = Ask(
        request_id=0,
        question="q" * question_chars,
        top_k=5,
        answer_mode=AnswerMode.SCRUB,
        retrieval=RetrievalMode.DENSE,
        retrieve_only=False,
        deadline_s=30.0,
    )
    recipient, signer = node.public_key().public_bytes_raw(), asker.public_key().public_bytes_raw()
    key_s: list[float] = []
    seal_s: list[float] = []
    open_s: list[float] = []
    envelope = b""
    for _ in range(runs):
        info = info_of("ask", "node", os.urandom(REQUEST_ID_BYTES))
        reply_key = _timed(X25519PrivateKey.generate, key_s)
        inquiry = Inquiry(
            asker=signer,
            reply_key=reply_key.public_key().public_bytes_raw(),
            issued_at=0,
            expires_at=60,
            wanted=ask,
        )
        envelope = _timed(lambda: seal(encode_inquiry(inquiry), asker, recipient, info), seal_s)  # noqa: B023

        def opens() -> Inquiry:
            opened = unseal(envelope, node, info)  # noqa: B023 - called at once
            require_signature(opened, signer, recipient, info)  # noqa: B023
            return decode_inquiry(opened.content)

        _timed(opens, open_s)
    return SealedReport(
        question_chars=question_chars,
        runs=runs,
        key_us=_median_us(key_s),
        seal_us=_median_us(seal_s),
        open_us=_median_us(open_s),
        open_message_bytes=len(encode(ask)),
        envelope_bytes=len(envelope),
    )


def _timed(work: Callable[[], _T], samples_s: list[float]) -> _T:
    started = time.perf_counter()
    done = work()
    samples_s.append(time.perf_counter() - started)
    return done


def _median_us(samples_s: list[float]) -> float:
    return round(statistics.median(samples_s) * 1e6, 1)
