"""One connection over a real socket, in a time that the test decides."""

import resource
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from flowcore.addresses import normalize_address
from nodes.net.connection import (
    BURST,
    MAX_READ,
    MIN_FRAME_COST,
    PING_INTERVAL,
    STALL_THRESHOLD,
    Connection,
    HandshakeBudget,
    configure,
    unread_bytes,
)
from nodes.net.peer import Page
from nodes.net.rejection import ignore
from tests.support.rig import RATE, Recorder, Rig, close_code, text


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_messages_arrive_in_order_in_the_slot_after_they_came(rig: Rig) -> None:
    client, peer = rig.call()
    client.sendall(text(b"one") + text(b"two"))
    rig.slots()
    client.sendall(text(b"three"))
    rig.slots()
    assert peer.heard == [b"one", b"two", b"three"]


def test_split_at_every_byte_over_a_socket(rig: Rig) -> None:
    data = text(b"one") + Frame(Opcode.PING, b"p").serialize(mask=True) + text(b"y" * 200)
    for cut in range(len(data)):
        client, peer = rig.call()
        client.sendall(data[:cut])
        rig.slots()
        client.sendall(data[cut:])
        rig.slots()
        assert peer.heard == [b"one", b"y" * 200]
        assert client.recv(100) == b"\x8a\x01p"
        client.close()
        rig.slots()


def test_what_is_sent_arrives_in_order_and_waits_for_a_peer_that_does_not_read(rig: Rig) -> None:
    client, peer = rig.call()
    assert peer.connection is not None
    peer.connection.send(b"one")
    rig.slots()
    assert (client.recv(100), peer.connection.unsent) == (b"\x81\x03one", 0)
    while not peer.connection.unsent:
        peer.connection.send(b"x" * 60_000)
        rig.slots()
    waiting = peer.connection.unsent
    rig.slots(10)
    assert peer.connection.unsent == waiting < 70_000
    peer.connection.close(1000)
    peer.connection.send(b"too late")
    while peer.connection.unsent:
        client.recv(1 << 20)
        rig.slots()
    rig.slots()
    assert not client.recv(1 << 20).endswith(b"too late")


@pytest.mark.fault(3)
@pytest.mark.parametrize("rig", [{"rate": 1e9}], indirect=True)  # so that nothing else holds the flood back
def test_pings_of_a_peer_that_never_reads_stop_being_read(rig: Rig) -> None:
    client, _peer = rig.call()
    client.setblocking(False)
    ping = Frame(Opcode.PING, bytes(125)).serialize(mask=True) * 500
    before, sent = memory(), 0
    for _ in range(3000):
        try:
            sent += client.send(ping)
        except BlockingIOError:
            break
        rig.slots(4)
    else:
        pytest.fail("the flood was never held back")
    rig.slots(100)
    assert sent > 1 << 20
    assert rig.port.connections[0].unsent < MAX_READ + 4096
    assert memory() - before < 5 << 20


@pytest.mark.fault(12)
def test_flood_is_read_at_its_rate_and_costs_the_others_nothing(rig: Rig) -> None:
    flood, loud = rig.call()
    good, peer = rig.call()
    flood.setblocking(False)
    frame = text(bytes(300))
    for slot in range(500):  # 10 s
        try:
            while True:
                flood.send(frame * 100)
        except BlockingIOError:
            pass
        good.sendall(text(b"%d" % slot))
        rig.slots()
    seconds = 500 * 0.020
    assert len(loud.heard) * len(frame) <= (BURST + seconds) * RATE + MAX_READ
    assert len(loud.heard) * len(frame) >= 0.9 * seconds * RATE
    assert peer.heard == [b"%d" % slot for slot in range(500)]


def test_small_frames_count_for_the_work_they_make(rig: Rig) -> None:
    flood, _loud = rig.call()
    flood.setblocking(False)
    for _ in range(250):  # 5 s
        try:
            while True:
                flood.send(Frame(Opcode.PONG, b"").serialize(mask=True) * 1000)
        except BlockingIOError:
            pass
        rig.slots()
    frames = rig.port.connections[0].websocket.frames
    assert frames <= (BURST + 5.0) * RATE / MIN_FRAME_COST + MAX_READ / 6


def test_paused_peer_is_not_read_and_loses_nothing(rig: Rig) -> None:
    client, peer = rig.call()
    peer.reading = False
    client.sendall(text(b"one"))
    rig.slots(50)
    assert peer.heard == []
    peer.reading = True
    rig.slots()
    assert peer.heard == [b"one"]


def test_what_came_while_this_process_was_held_up_is_known_to_have_come_late(rig: Rig) -> None:
    client, peer = rig.call()
    client.sendall(text(b"before"))
    rig.slots()
    began = rig.now
    client.sendall(text(b"x") * 25)
    rig.now += 0.48
    rig.slots()
    assert peer.times[0] == began
    assert peer.held_up == [(began, rig.now, 25)]
    rig.slots()
    assert len(peer.held_up) == 1


@pytest.mark.fault(26)
def test_what_a_stall_leaves_for_the_next_slots_is_dated_when_it_came(rig: Rig) -> None:
    client, peer = rig.call()
    began, count = rig.now, 4 * MAX_READ // 400
    client.sendall(text(bytes(392)) * count)  # 400 bytes each
    rig.now += 4.0
    rig.slots(10)
    assert len(peer.heard) == count
    assert [since for since, _, _ in peer.held_up] == [began, *(until for _, until, _ in peer.held_up[:-1])]
    for since, until, number in peer.held_up:
        assert until - since == pytest.approx(4.0 * number / count, rel=0.1)


def test_a_message_that_is_not_whole_after_a_stall_takes_its_time_too(rig: Rig) -> None:
    client, peer = rig.call()
    began = rig.now
    client.sendall(text(bytes(MAX_READ // 2 * 3)))
    rig.now += 3.0
    rig.slots()
    assert peer.held_up == []
    rig.slots()
    assert peer.held_up == [(pytest.approx(began + 2.0, abs=0.1), rig.now, 1)]


def test_limits_are_kept_by_what_was_read_and_not_by_a_stall_of_ours(rig: Rig) -> None:
    client, peer = rig.call()
    rig.slots()
    began = rig.now
    client.sendall(text(bytes(392)) * (2 * MAX_READ // 400))
    rig.now += 4.0
    rig.slots(2)
    assert peer.asked[-2:] == [began, pytest.approx(began + 2.0, rel=0.1)]
    rig.slots(2)
    assert peer.asked[-1] == rig.now


def test_what_comes_in_time_or_after_we_did_not_want_to_read_has_the_time_of_the_slot(rig: Rig) -> None:
    client, peer = rig.call()
    client.sendall(text(b"x") * 3)
    rig.now += STALL_THRESHOLD - 0.03
    rig.slots()
    assert peer.times == [rig.now] * 3
    peer.reading = False
    client.sendall(text(b"x") * 3)
    rig.slots(20)
    peer.reading = True
    rig.slots()
    assert peer.times[3:] == [rig.now] * 3
    assert peer.held_up == []


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda client: client.sendall(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)), "peer_closed"),
        (lambda client: client.shutdown(socket.SHUT_WR), "peer_lost"),
        (lambda client: client.sendall(b"\x81\x05hello"), "peer_broke_protocol"),
        (
            lambda client: client.sendall(b"\x81\xff" + (1 << 30).to_bytes(8, "big") + bytes(1024)),
            "peer_broke_protocol",
        ),
        (
            lambda client: client.sendall((b"\x01\x80" + bytes(4)) + (b"\x00\x80" + bytes(4)) * 500),
            "peer_broke_protocol",
        ),
    ],
)
def test_end_has_its_reason_once_and_what_was_whole_is_kept(
    rig: Rig, end: Callable[[socket.socket], None], reason: str
) -> None:
    client, peer = rig.call()
    client.sendall(text(b"whole"))
    end(client)
    rig.slots(2)
    assert peer.heard == [b"whole"]
    assert peer.reasons == [reason]
    client.close()
    rig.slots(2)
    assert rig.port.connections == []
    assert peer.reasons == [reason]


def test_reset_in_the_middle_of_a_message_keeps_the_whole_ones(rig: Rig) -> None:
    client, peer = rig.call()
    client.sendall(text(b"whole") + text(b"never to be finished")[:9])
    rig.slots()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    rig.slots()
    assert (peer.heard, peer.reasons) == ([b"whole"], ["peer_lost"])
    assert rig.port.connections == []


def test_announcing_1_gib_gets_1009(rig: Rig) -> None:
    client, _peer = rig.call()
    before = memory()
    client.sendall(b"\x81\xff" + (1 << 30).to_bytes(8, "big") + bytes(1024))
    rig.slots()
    assert close_code(client.recv(100)) == 1009
    assert memory() - before < 5 << 20


def test_after_we_close_nothing_more_is_heard_and_a_silent_peer_is_dropped_after_5_s(rig: Rig) -> None:
    client, peer = rig.call()
    client.sendall(text(b"hang up") + text(b"too late"))
    rig.slots()
    client.sendall(text(b"later still"))
    rig.slots()
    assert peer.heard == [b"hang up"]
    assert close_code(client.recv(100)) == 1008
    rig.now += 4.9
    rig.slots()
    assert len(rig.port.connections) == 1
    rig.now += 0.1
    rig.slots()
    assert rig.port.connections == []


@pytest.mark.fault(8)
def test_vanished_peer_is_found_by_the_kernel_within_40_s() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        connection = Connection(
            accepted,
            normalize_address("127.0.0.1"),
            0.0,
            handler=lambda request, client: Page(HTTPStatus.OK, b""),
            on_rejected=ignore,
            budget=HandshakeBudget(8),
            tls=None,
            handshake_timeout=5.0,
            rate=RATE,
        )
        idle, interval, count = (
            accepted.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert idle + interval * count <= 40
        assert 0 < accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 40_000
        connection.abort()


PING, PONG = b"\x89\x00", Frame(Opcode.PONG, b"").serialize(mask=True)


def seconds_until_given_up(rig: Rig, peer: Recorder, most: int) -> int:
    for second in range(1, most + 1):
        rig.now += 1.0
        rig.slots()
        if peer.reasons:
            return second
    return 0


@pytest.mark.fault(8)
def test_peer_that_answered_a_ping_and_then_nothing_at_all_is_gone_within_40_s(rig: Rig) -> None:
    client, peer = rig.call()
    rig.now += PING_INTERVAL
    rig.slots()
    assert client.recv(100) == PING
    client.sendall(PONG)
    rig.slots()
    assert seconds_until_given_up(rig, peer, 40) > 0
    assert peer.reasons == ["peer_lost"]


@pytest.mark.fault(8)
def test_peer_that_answers_pings_or_talks_may_be_on_hold_for_ever(rig: Rig) -> None:
    client, peer = rig.call()
    for turn in range(200):
        rig.now += PING_INTERVAL
        rig.slots()
        if turn % 2:
            client.sendall(PONG)
        elif turn % 3:
            client.sendall(text(b"still here"))
    assert peer.reasons == []


def test_peer_that_never_answered_a_ping_is_not_judged_by_its_silence(rig: Rig) -> None:
    _, peer = rig.call()
    assert not seconds_until_given_up(rig, peer, 600)


def test_silence_of_a_peer_that_we_do_not_read_is_ours(rig: Rig) -> None:
    client, peer = rig.call()
    client.sendall(PONG)
    rig.slots()
    peer.reading = False
    assert not seconds_until_given_up(rig, peer, 600)
    client.sendall(PONG)
    peer.reading = True
    assert not seconds_until_given_up(rig, peer, 20)


def test_idle_connection_takes_little_memory(rig: Rig) -> None:
    for _ in range(10):
        rig.call()
    before = memory()
    for _ in range(80):
        rig.call()
    assert (memory() - before) / 80 < 50_000


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
