"""The registry of prompt versions: what training made and what was written by hand, which is live, and making it so."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec
import structlog

from frag.errors import BadRequestError, ConflictError, FragError
from frag.types import Adaptation, Place, Template
from prompt_tuning.adaptation_file import load_adaptation, save_adaptation
from server.coordinator.blobs import Blobs
from server.coordinator.enrollment import PUBLIC_NODE_ID
from server.coordinator.links import NodeFailedError, Registry, WebSocketLink
from server.coordinator.tables import PromotionRow, PromptRow
from server.coordinator.training.exchange import Exchange
from server.coordinator.training.records import TrainingRecords
from server.wire.messages import Promote

_log = structlog.get_logger()
_FLIP_LIMIT_S = 60.0


Text = Annotated[str, msgspec.Meta(max_length=8000)]


class NewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt that somebody wrote: an instruction, and (passage, question, answer) turns that show the form."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,54}$")]
    instruction: Text = ""
    examples: Annotated[tuple[tuple[Text, Text, Text], ...], msgspec.Meta(max_length=16)] = ()


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as the API shows it."""

    version: str
    parent: str
    job_id: str
    method: str
    place: str
    base_model: str
    sha256: str
    num_bytes: int
    metrics: dict[str, float]
    created_at: str
    live: bool


class TakesAdaptations(Protocol):
    """What answers in this process: the public corpus."""

    async def go_live(self, adaptation: Adaptation | None) -> None:
        """Raises ModelError when it does not fit."""


class Versions:
    """Promotion is durable before any node hears of it; nodes that are away get it when they come back.

    Args:
        records: Versions and promotions.
        blobs: Their contents.
        registry: Nodes that are told.
        exchange: Where they fetch.
        own: What answers in this process, if anything does.
    """

    def __init__(
        self,
        records: TrainingRecords,
        blobs: Blobs,
        registry: Registry,
        exchange: Exchange,
        own: TakesAdaptations | None = None,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._registry = registry
        self._exchange = exchange
        self._own = own

    async def add(
        self, adaptation: Adaptation, *, version: str, job_id: str = "", metrics: Mapping[str, float] | None = None
    ) -> str:
        """Keeps an adaptation as `version`, which is returned; a version that exists stays as it is."""
        content = await asyncio.to_thread(save_adaptation, adaptation)
        digest = await asyncio.to_thread(self._blobs.put, content)
        promoted = await self._records.promotions()
        await self._records.add_prompt(
            PromptRow(
                version=version,
                parent=promoted[-1] if promoted else "",
                job_id=job_id,
                method=adaptation.method,
                place=adaptation.place.value,
                base_model=adaptation.base_model,
                sha256=digest,
                num_bytes=adaptation.num_bytes,
                metrics=json.dumps(dict(metrics or {})),
            )
        )
        return version

    async def add_template(self, template: NewTemplate) -> str:
        """Keeps a hand-written or few-shot template under its name and the first digits of its content's hash.

        Raises:
            BadRequestError: It says nothing.
        """
        if not (template.instruction or template.examples):
            raise BadRequestError("The template says nothing.", "Give an instruction, examples, or both.")
        adaptation = Adaptation(
            method="template",
            settings={},
            place=Place.BEFORE,
            tensors={},
            template=Template(instruction=template.instruction, examples=template.examples),
            base_model="",
            layout="",
        )
        digest = hashlib.sha256(save_adaptation(adaptation)).hexdigest()
        return await self.add(adaptation, version=f"{template.name}-{digest[:8]}")

    async def listed(self) -> list[Version]:
        """All versions, oldest first."""
        live = await self.live()
        return [_view(row, live) for row in await self._records.prompts()]

    async def rows(self) -> Sequence[PromptRow]:
        """The same as they are kept."""
        return await self._records.prompts()

    async def shown(self, version: str) -> dict[str, Any]:
        """One version with what the model is told under it. Raises NotFoundError."""
        view = _view(await self._records.prompt(version), await self.live())
        template = (await asyncio.to_thread(load_adaptation, await self._content(version))).template
        told = {"instruction": template.instruction, "examples": template.examples}
        return {**msgspec.structs.asdict(view), **told}

    async def adaptation(self, version: str) -> Adaptation:
        """The content of a version. Raises NotFoundError, or ModelError when it is damaged."""
        return await asyncio.to_thread(load_adaptation, await self._content(version), version)

    async def live(self) -> str:
        """The version that is live; empty for the model as it is."""
        promoted = await self._records.promotions()
        return promoted[-1] if promoted else ""

    async def promoted(self) -> Sequence[PromotionRow]:
        """What went live and when, oldest first."""
        return await self._records.promotion_rows()

    async def promote(self, version: str) -> dict[str, str]:
        """Makes a version live, or with an empty one the model as it is. Returns what each connected node said.

        Raises:
            NotFoundError: There is no such version, or its content is damaged; nothing changes.
        """
        content = await self._content(version)
        await self._records.promote(version)
        links = self._registry.silos()
        said = await asyncio.gather(*(self._tell(link, version, content) for link in links))
        outcomes = {link.node_id: outcome for link, outcome in zip(links, said, strict=True)}
        return outcomes | await self._go_live_here(version, content)

    async def restore(self) -> None:
        """Makes what is live so in this process, after a start."""
        live = await self.live()
        await self._go_live_here(live, await self._content(live))

    async def _go_live_here(self, version: str, content: bytes) -> dict[str, str]:
        if self._own is None:
            return {}
        try:
            adaptation = await asyncio.to_thread(load_adaptation, content, version) if version else None
            await self._own.go_live(adaptation)
        except FragError as error:
            _log.warning("promotion_failed", node=PUBLIC_NODE_ID, version=version, reason=error.code)
            return {PUBLIC_NODE_ID: error.code}
        return {PUBLIC_NODE_ID: "live"}

    async def rollback(self) -> tuple[str, dict[str, str]]:
        """Goes one promotion back, at last to the model as it is. Raises ConflictError when that is live already."""
        stack = _stack(await self._records.promotions())
        if not stack:
            raise ConflictError("The model as it is, is live.", "There is nothing to go back to.")
        version = stack[-2] if len(stack) > 1 else ""
        return version, await self.promote(version)

    async def bring_up_to_date(self, link: WebSocketLink) -> None:
        """Tells a node that has just connected what is live, unless it has it."""
        live = await self.live()
        if link.ready.prompt_version != live:
            await self._tell(link, live, await self._content(live))

    async def _content(self, version: str) -> bytes:
        if not version:
            return b""
        row = await self._records.prompt(version)
        return await asyncio.to_thread(self._blobs.get, row.sha256)

    async def _tell(self, link: WebSocketLink, version: str, content: bytes) -> str:
        ticket = self._exchange.issue(content)
        digest = hashlib.sha256(content).hexdigest() if version else ""
        try:
            async with asyncio.timeout(_FLIP_LIMIT_S):
                await link.promote(
                    lambda request_id: Promote(
                        request_id=request_id, version=version, sha256=digest, ticket=ticket.code
                    )
                )
        except (NodeFailedError, TimeoutError) as error:
            reason = error.what if isinstance(error, NodeFailedError) else "deadline_exceeded"
            _log.warning("promotion_failed", node=link.node_id, version=version, reason=reason)
            return reason
        finally:
            self._exchange.withdraw(ticket)
        return "live"


def _stack(promotions: Sequence[str]) -> list[str]:
    """What rollback steps through: promoting something that was live before is going back to it."""
    stack: list[str] = []
    for version in promotions:
        if version in stack:
            del stack[stack.index(version) + 1 :]
        elif version:
            stack.append(version)
        else:
            stack.clear()
    return stack


def _view(row: PromptRow, live: str) -> Version:
    return Version(
        version=row.version,
        parent=row.parent,
        job_id=row.job_id,
        method=row.method,
        place=row.place,
        base_model=row.base_model,
        sha256=row.sha256,
        num_bytes=row.num_bytes,
        metrics=json.loads(row.metrics),
        created_at=row.created_at.isoformat(),
        live=row.version == live,
    )
