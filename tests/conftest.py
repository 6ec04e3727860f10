"""Fixtures that every test may use."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture
def blocked_loop_fails() -> Iterator[BlockBuster]:
    """Any blocking call on the event loop, from our packages, is an error while this is in use."""
    with blockbuster_ctx(["server", "frag", "retrievers", "prompt_tuning"]) as guard:
        yield guard
