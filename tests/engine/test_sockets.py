import socket

import pytest

from flowcore import CannotStart
from flowcore.engine.sockets import listen, seen_through


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_socket_listens_and_does_not_block(address):
    with listen(address, 0) as listening:
        with pytest.raises(BlockingIOError):
            listening.accept()
        with socket.create_connection(listening.getsockname()[:2]):
            accepted, _ = listening.accept()
            accepted.close()


def test_the_unspecified_ipv6_address_listens_dual_stack():
    with listen("::", 0) as listening:
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, listening.getsockname()[1])):
                listening.accept()[0].close()


def test_an_address_of_ipv6_is_no_other():
    with listen("::1", 0) as listening, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listening.getsockname()[1]))


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


@pytest.mark.parametrize(
    ("public", "address", "seen"),
    [
        ("", "ws://127.0.0.1:3333/", "ws://127.0.0.1:3333/"),
        ("https://x.example", "ws://127.0.0.1:3333/", "wss://x.example"),
        ("https://x.example:8443/", "http://[::1]:3333/client?a=b://c", "https://x.example:8443/client?a=b://c"),
        ("wss://x.example", "https://127.0.0.1/client", "https://x.example/client"),
        ("http://x.example", "ws://127.0.0.1:3333/", "ws://x.example"),
    ],
)
def test_address_seen_through_a_proxy_has_its_host_and_its_security(public, address, seen):
    assert seen_through(public, address) == seen
