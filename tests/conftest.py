"""What every test may use."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from frag.models import State, status
from frag.settings import ModelSettings
from server import local_federation
from tests import forked

LoopGuard = Callable[[], AbstractContextManager[BlockBuster]]


@pytest.fixture
def unblocked_loop() -> LoopGuard:
    """`with unblocked_loop(): …`: inside, a blocking call of our packages on the event loop is an error."""
    return lambda: blockbuster_ctx(["server", "frag", "retrievers", "prompt_tuning"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without models these tests cannot run; say which command mends it."""
    missing = [row.name for row in status() if row.state is not State.READY]
    for item in items:
        if missing and "real_models" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=f"models missing: {missing}; run `frag models pull`"))


@pytest.fixture(scope="session", autouse=True)
def _processes_start_fast() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_federation, "launch", forked.launch)
        yield


@pytest.fixture(scope="session")
def real_models() -> ModelSettings:
    """Asks for the built-in models; `make test` fetches them."""
    return ModelSettings(threads=1)
