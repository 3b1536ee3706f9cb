"""The proxy does to real bytes what is asked for, and so does every toxic of the tests."""

import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore.tcp_proxy import SLOW_RATE, Proxy
from tests.support.live import until
from tests.support.toxics import freeze, limit_data, reset, slicer

DATA = bytes(range(256)) * 40


class Target:
    """Reads one connection to its end, answers ``hello`` at the start."""

    def __init__(self):
        self.heard = b""
        self.pieces = []
        self.end = ""
        self.got = threading.Semaphore(0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = self._listening.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listening.accept()
        self._listening.close()
        with connection:
            try:
                connection.sendall(b"hello")
            except (ConnectionResetError, BrokenPipeError):
                self.end = "reset"  # already; what came before it can still be read
            try:
                while piece := connection.recv(1 << 16):
                    self.heard += piece
                    self.pieces.append(piece)
                    self.got.release()
                self.end = self.end or "eof"
            except ConnectionResetError:
                self.end = "reset"

    def wait(self):
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.end, self.heard


@pytest.fixture
def target():
    return Target()


def talk(proxy, data=DATA):
    """Say ``data``, hang up, and return what was answered."""
    try:
        with socket.create_connection(proxy.address, timeout=30) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(1 << 16):
                answer += piece
            return answer
    except OSError:  # reset
        return b"reset"


def test_without_toxics_both_ways_are_as_without_a_proxy(target):
    with Proxy(target.address) as proxy:
        assert talk(proxy) == b"hello"
        assert target.wait() == ("eof", DATA)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3000), st.none() | st.integers())
def test_slices_lose_and_move_nothing(size, seed):
    target = Target()
    with Proxy(target.address, up=[slicer(size, seed)]) as proxy:
        talk(proxy)
        assert target.wait() == ("eof", DATA)


@pytest.mark.parametrize("after", [0, 1, 777, len(DATA)])
def test_reset_comes_behind_its_byte_and_nothing_is_lost_before_it(target, after):
    with Proxy(target.address, up=[slicer(100), reset(after)]) as proxy:
        talk(proxy)
        assert target.wait() == ("reset", DATA[:after])


def test_limit_data_ends_the_stream_in_order(target):
    with Proxy(target.address, up=[limit_data(1000)]) as proxy:
        talk(proxy)
        assert target.wait() == ("eof", DATA[:1000])


def test_freeze_swallows_even_the_end(target):
    with Proxy(target.address, up=[freeze(1000)]) as proxy:
        with socket.create_connection(proxy.address, timeout=30) as client:
            assert client.recv(5) == b"hello"
            client.sendall(DATA)
        while len(target.heard) < 1000:
            assert target.got.acquire(timeout=30)
        assert target.end == ""
    assert target.wait() == ("eof", DATA[:1000])  # with the proxy, at last


def test_each_direction_has_its_own_toxics(target):
    with Proxy(target.address, down=[limit_data(2)]) as proxy:
        assert talk(proxy) == b"he"
        assert target.wait() == ("eof", DATA)


def test_a_missing_target_is_a_closed_connection():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with Proxy(address) as proxy, socket.create_connection(proxy.address, timeout=30) as client:
        assert client.recv(5) == b""


def test_leaving_ends_all_threads_and_sockets(target):
    before = threading.active_count()
    with Proxy(target.address, up=[freeze()]) as proxy:
        client = socket.create_connection(proxy.address, timeout=30)
        client.sendall(DATA)
        assert client.recv(5) == b"hello"
    assert target.wait()[1] in (b"", DATA)
    assert threading.active_count() < before
    client.close()


# Commands


@pytest.fixture
def ends():
    """A proxy, and the sockets on both its sides."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Proxy(server.getsockname()) as proxy,
        socket.create_connection(proxy.address, timeout=30) as near,
    ):
        far, _ = server.accept()
        far.settimeout(30)
        with far:
            yield proxy, near, far


def all_of(end):
    return b"".join(iter(lambda: end.recv(4096), b""))


def test_bytes_go_both_ways_up_to_the_end(ends):
    _, near, far = ends
    near.sendall(DATA)
    near.shutdown(socket.SHUT_WR)
    assert all_of(far) == DATA
    far.sendall(DATA[::-1])
    far.shutdown(socket.SHUT_WR)
    assert all_of(near) == DATA[::-1]


def test_a_slow_stretch_comes_in_parts_and_whole(ends):
    proxy, near, far = ends
    data = DATA * 4
    proxy.slow_down(len(data) / SLOW_RATE)  # seconds: so long may this test be kept from looking
    near.sendall(data)
    near.shutdown(socket.SHUT_WR)
    begun = far.recv(len(data))
    assert len(begun) < len(data)
    proxy.slow_down(0)
    assert begun + all_of(far) == data


def test_a_frozen_proxy_passes_nothing_and_a_reset_says_no_goodbye(ends):
    proxy, near, far = ends
    near.sendall(b"before")
    assert far.recv(4096) == b"before"
    proxy.freeze()
    near.sendall(b"after")
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(4096)
    far.settimeout(30)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        far.recv(4096)
    with pytest.raises(ConnectionResetError):
        near.recv(4096)


def test_closing_an_unused_proxy_leaves_no_thread():
    before = threading.active_count()
    Proxy(("127.0.0.1", 9)).close()
    until(lambda: threading.active_count() <= before)
