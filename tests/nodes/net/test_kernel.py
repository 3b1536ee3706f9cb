"""Socket options of an accepted connection."""

import socket

from nodes.net.kernel import configure, unread_bytes


def test_a_connection_never_blocks_and_sends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted:
            configure(accepted)
            assert not accepted.getblocking()
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_unread_bytes_are_counted_and_stay() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert unread_bytes(other) == 0
        one.sendall(b"hello")
        assert unread_bytes(other) == 5
        assert other.recv(100) == b"hello"
