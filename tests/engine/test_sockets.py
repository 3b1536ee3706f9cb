import socket

import pytest

from flowcore import CannotStart
from flowcore.engine.sockets import listen


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_socket_listens_and_does_not_block(address):
    with listen(address, 0) as listening:
        with pytest.raises(BlockingIOError):
            listening.accept()
        with socket.create_connection(listening.getsockname()[:2]):
            accepted, _ = listening.accept()
            accepted.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [("192.0.2.1", r"^host: cannot listen at 192\.0\.2\.1"), ("no such host", r"^host: cannot listen at no such host")],
)
def test_an_address_that_is_not_ours_is_named(address, says):
    with pytest.raises(CannotStart, match=says):
        listen(address, 0)


def test_a_taken_port_is_named_with_a_fix():
    with listen("127.0.0.1", 0) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"^port: port {number} of 127.0.0.1 is taken: stop what listens there"):
            listen("127.0.0.1", number)
