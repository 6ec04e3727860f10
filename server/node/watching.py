"""The node's metrics and traces, opened and closed with the node."""

import asyncio
from contextlib import AsyncExitStack

from frag.errors import FragError
from frag.settings import NodeSettings
from server.node.answering import NodeAnswering
from server.node.spending import describe_spending
from server.node.state import NodeFolder
from server.telemetry.node import NodeWatch
from server.telemetry.node_endpoint import open_endpoint
from server.telemetry.tracing import open_tracing


async def open_watch(
    stack: AsyncExitStack, folder: NodeFolder, settings: NodeSettings, answering: NodeAnswering
) -> NodeWatch:
    """Raises SettingsError when the port of the metrics cannot be bound."""
    tracing = open_tracing(settings.telemetry.otlp_endpoint, "frag-node", settings.node_id)
    opened = await asyncio.to_thread(tracing.__enter__)
    stack.push_async_callback(asyncio.to_thread, tracing.__exit__, None, None, None)
    watch = NodeWatch(opened)

    def refresh() -> None:
        watch.set_documents(answering.describe()[2])
        try:
            spending = describe_spending(folder)
        except FragError:
            return  # a wrong ledger is said where it is used; the other figures still hold
        watch.set_spending(spending.budget_epsilon, {c.collection: c.epsilon for c in spending.collections})

    await stack.enter_async_context(open_endpoint(watch, settings.telemetry.metrics_port, refresh))
    return watch
