import contextlib
import socket
import threading

import pytest
import trustme

from flowcore import CannotStart
from flowcore.testing import NodeHarness
from nodes.simulators.wire import CRUMB, PAUSE, Wire
from nodes.sinks.ringcx_grpc_call import RingCXGrpcCall
from tests.support.live import Live, until
from tests.support.phone_grpc import over_grpc

DATA = bytes(range(256)) * 8


@pytest.fixture
def ends():
    """A wire, and the sockets on both its ends."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        wire = Wire(*server.getsockname())
        stack.callback(wire.close)
        host, _, port = wire.address.partition(":")
        near = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
        far, _ = server.accept()
        far.settimeout(30)
        yield wire, near, stack.enter_context(far)


def all_of(end):
    return b"".join(iter(lambda: end.recv(4096), b""))


def test_what_is_said_goes_both_ways_up_to_the_end(ends):
    _, near, far = ends
    near.sendall(DATA)
    near.shutdown(socket.SHUT_WR)
    assert all_of(far) == DATA
    far.sendall(DATA[::-1])
    far.shutdown(socket.SHUT_WR)
    assert all_of(near) == DATA[::-1]


def test_a_slow_stretch_comes_in_crumbs_and_whole(ends):
    wire, near, far = ends
    data = DATA * 20
    wire.slow_down(len(data) / CRUMB * PAUSE)  # seconds: so long may this test be kept from looking
    near.sendall(data)
    near.shutdown(socket.SHUT_WR)
    begun = far.recv(len(data))
    assert len(begun) < len(data)
    wire.slow_down(0)
    assert begun + all_of(far) == data


def test_a_frozen_wire_lets_nothing_by_and_a_cut_one_says_no_goodbye(ends):
    wire, near, far = ends
    near.sendall(b"before")
    assert far.recv(4096) == b"before"
    wire.freeze()
    near.sendall(b"after")
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(4096)
    far.settimeout(30)
    wire.cut()
    with pytest.raises(ConnectionResetError):
        far.recv(4096)
    with pytest.raises(ConnectionResetError):
        near.recv(4096)


def test_nobody_there_is_told_through_a_wire_too():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(CannotStart, match="start a receiver there"):
        NodeHarness(RingCXGrpcCall, {"url": f"grpc://127.0.0.1:{port}", "chaos": "seed=1,slow"})


def test_closing_leaves_no_thread():
    before = threading.active_count()
    Wire("127.0.0.1", 9).close()
    until(lambda: threading.active_count() <= before)


def test_tls_goes_through_a_wire_with_the_receivers_name(tmp_path):
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = [f"call.tls.{part}={tmp_path}/both.pem" for part in ("cert", "key")]
    with Live(over_grpc(tmp_path, "record"), [f"wav.path={tmp_path}/{{call_id}}.wav", *tls], calls=1) as live:
        url = live.url.replace("127.0.0.1", "localhost")
        config = {"url": url, "ca": tmp_path / "ca.pem", "chaos": "seed=1,slow"}
        NodeHarness(RingCXGrpcCall, config).end()
    assert live.engine.totals.reasons == {"stop": 1}
