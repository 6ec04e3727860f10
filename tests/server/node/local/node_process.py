"""`python -m tests.server.node.local.node_process FOLDER`: a node's operator's view as a process of its own."""

import asyncio
import sys
from pathlib import Path

from tests.server.node.local.conftest import node_view


async def _main(folder: Path) -> None:
    async with node_view(folder) as view:
        print(view.url, view.token, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
