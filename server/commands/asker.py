"""`frag asker`: the key that signs sealed questions."""

from pathlib import Path
from typing import Annotated

import typer


def asker(
    key: Annotated[Path | None, typer.Option("--asker-key", envvar="FRAG_ASKER_KEY", help="Where it is kept.")] = None,
) -> None:
    """Print the public half of your asker's key, made at first use. Nodes can list it in `[policy] askers`."""
    from server.sealed.trust import asker_key, asker_key_file
    from server.wire.identity import public_bytes

    typer.echo(public_bytes(asker_key(key or asker_key_file())).hex())
