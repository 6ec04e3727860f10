"""What every test may use."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

LoopGuard = Callable[[], AbstractContextManager[BlockBuster]]


@pytest.fixture
def unblocked_loop() -> LoopGuard:
    """`with unblocked_loop(): …`: inside, a blocking call of our packages on the event loop is an error."""
    return lambda: blockbuster_ctx(["server", "frag", "retrievers", "prompt_tuning"])
