"""A port in the hands of a test."""

from collections.abc import Iterator

import pytest

from tests.support.rig import Rig


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A port and its clients; a parameter holds keyword arguments of `Rig`."""
    rig = Rig(**getattr(request, "param", {}))
    yield rig
    rig.port.close()
    for client in rig.clients:
        client.close()
