"""The prompt version that this node answers with: fetched, checked, flipped, and kept for the next start."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from frag.durable import write_private
from frag.errors import FragError, ModelError
from frag.types import Adaptation
from prompt_tuning.adaptation_file import load_adaptation
from server.node.exchange import Exchange
from server.node.inference import InferenceWorker
from server.wire.messages import Promote

_log = structlog.get_logger()


class _Live(msgspec.Struct, frozen=True):
    version: str
    sha256: str


class LivePrompt:
    """Keeps versions in `folder`; the last that was live and good comes back after a restart.

    Args:
        folder: Of this node's versions.
        worker: Whose answers they change.
        exchange: Where they are fetched.
        embedder: Fingerprint of the node's embedder, which generators were trained with.
    """

    def __init__(self, folder: Path, worker: InferenceWorker, exchange: Exchange, embedder: str) -> None:
        self._folder = folder
        self._worker = worker
        self._exchange = exchange
        self._embedder = embedder
        self.version = ""
        self.on_live: Callable[[str, Path], None] = lambda _version, _file: None
        self._sha256 = ""
        self._turn = asyncio.Lock()

    async def restore(self) -> None:
        """Makes the last good version live again. One that fits no more is left out, with a line in the log."""
        try:
            live = msgspec.json.decode(await asyncio.to_thread(self._pointer.read_bytes), type=_Live)
            await self._flip(live.version, live.sha256)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, FragError) as error:
            _log.warning("prompt_not_restored", reason=getattr(error, "code", type(error).__name__))

    async def promote(self, request: Promote) -> None:
        """Fetches what is not here yet, then flips between two answers.

        Raises:
            ModelError: The version does not fit this node; what was live stays live.
            ProtocolError: It could not be fetched.
        """
        if request.version and not await asyncio.to_thread(self._file(request.sha256).is_file):
            await self._exchange.fetch(request.ticket, request.sha256, self._file(request.sha256))
        await self._flip(request.version, request.sha256)
        pointer = msgspec.json.encode(_Live(request.version, request.sha256))
        await asyncio.to_thread(write_private, self._pointer, pointer)
        _log.info("prompt_live", version=request.version or "none")

    async def use_embedder(self, fingerprint: str) -> None:
        """Questions are embedded by this one from now on.

        A prompt that was trained with another goes out of use, and the model answers as it is; one that was kept for
        this one comes back.
        """
        self._embedder = fingerprint
        live = self._worker.live
        if live is not None and live.embedder not in ("", fingerprint):
            await self._worker.go_live(None)
            _log.warning("prompt_withdrawn", version=self.version, reason="trained with another embedder")
            self.version = ""
        elif live is None:
            await self.restore()

    async def _flip(self, version: str, sha256: str) -> None:
        async with self._turn:
            adaptation = await asyncio.to_thread(self._read, version, sha256) if version else None
            await self._worker.go_live(adaptation)
            self.version, self._sha256 = version, sha256
        self.on_live(version, self._file(sha256))

    async def again(self) -> None:
        """Answers with the live version as it is shared. Raises ModelError when its file is damaged."""
        await self._flip(self.version, self._sha256)

    async def adopt(self, version: str, personal: Adaptation) -> bool:
        """Answers with a personal form of `version`, if that is still live. Raises ModelError when it does not fit."""
        async with self._turn:
            if self.version != version:
                return False
            await self._worker.go_live(personal)
            return True

    def _read(self, version: str, sha256: str) -> Adaptation:
        content = self._file(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelError(f"The prompt {version} is damaged on this node.", "Promote it again.")
        adaptation = load_adaptation(content, version)
        if adaptation.embedder and adaptation.embedder != self._embedder:
            raise ModelError("The prompt was trained with another embedder.", "Train one for this embedder.")
        return adaptation

    def _file(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.safetensors"

    @property
    def _pointer(self) -> Path:
        return self._folder / "live.json"
