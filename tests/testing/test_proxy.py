"""Every toxic does to real bytes what its name says."""

import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore.testing.proxy import (
    Proxy,
    bandwidth,
    black_hole,
    latency,
    limit_data,
    reset_peer,
    slicer,
    slow_close,
)

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
    with Proxy(target.address, up=[slicer(100), reset_peer(after)]) as proxy:
        talk(proxy)
        assert target.wait() == ("reset", DATA[:after])


def test_limit_ends_the_stream_in_peace(target):
    with Proxy(target.address, up=[limit_data(1000)]) as proxy:
        talk(proxy)
        assert target.wait() == ("eof", DATA[:1000])


def test_black_hole_swallows_even_the_end(target):
    with Proxy(target.address, up=[black_hole(1000)]) as proxy:
        with socket.create_connection(proxy.address, timeout=30) as client:
            assert client.recv(5) == b"hello"
            client.sendall(DATA)
        while len(target.heard) < 1000:
            assert target.got.acquire(timeout=30)
        assert target.end == ""
    assert target.wait() == ("eof", DATA[:1000])  # with the proxy, at last


def test_delays_are_no_shorter_than_asked_for(target):
    began = time.monotonic()
    with Proxy(target.address, up=[latency(0.05), bandwidth(len(DATA) / 0.1), slow_close(0.05)]) as proxy:
        talk(proxy)
        assert target.wait() == ("eof", DATA)
    assert time.monotonic() - began >= 0.19


def test_ways_are_poisoned_apart(target):
    with Proxy(target.address, down=[limit_data(2)]) as proxy:
        assert talk(proxy) == b"he"
        assert target.wait() == ("eof", DATA)


def test_nobody_behind_it_is_a_closed_connection():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with Proxy(address) as proxy, socket.create_connection(proxy.address, timeout=30) as client:
        assert client.recv(5) == b""


def test_leaving_ends_all_threads_and_sockets(target):
    before = threading.active_count()
    with Proxy(target.address, up=[latency(3600)]) as proxy:
        client = socket.create_connection(proxy.address, timeout=30)
        client.sendall(DATA)
        assert client.recv(5) == b"hello"
    assert target.wait()[1] in (b"", DATA)
    assert threading.active_count() < before
    client.close()
