"""The polled port over real sockets, in a time that the test decides."""

import resource
import socket
import struct
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from nodes.net.connection import BURST, MAX_READ, MIN_FRAME_COST, PING_INTERVAL, STALL_THRESHOLD
from tests.support.rig import HEADERS, RATE, UPGRADE, Recorder, Rig, close_code, text


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(**getattr(request, "param", {}))
    yield rig
    rig.port.close()
    for client in rig.clients:
        client.close()


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


@pytest.mark.fault(5)
@pytest.mark.parametrize("rig", [{"connections": 400}], indirect=True)
def test_slow_handshakes_are_dropped_at_5_s_and_a_good_call_meanwhile_starts_at_once(rig: Rig) -> None:
    slow = [rig.connect(slots=0) for _ in range(200)]
    rig.slots(5)
    for byte in UPGRADE[:4]:
        for client in slow:
            client.sendall(bytes([byte]))
        rig.now += 1.0
        rig.slots()
    assert len(rig.port.connections) == 200
    rig.call()  # within one slot: `connect` gives it no more
    rig.now += 1.0
    rig.slots()
    assert len(rig.port.connections) == 1
    assert all(client.recv(1) == b"" for client in slow)


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\n" + HEADERS.encode() + b"\r\n", 405),
        (b"GET / HTTP/1.0\r\n" + HEADERS.encode() + b"\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400),  # TLS
        (b"hello\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
        (UPGRADE.replace(b"Sec-WebSocket-Key", b"Sec-WebSocket-Cow"), 400),
        (UPGRADE.replace(b"AAAA==", b"=="), 400),
        (UPGRADE.replace(b"Version: 13", b"Version: 8"), 400),
        (UPGRADE.replace(b"/?a=1", "/ä".encode()), 400),
        (UPGRADE.replace(b"/?a=1", b"/other"), 404),
        (UPGRADE.replace(b"/?a=1", b"//"), 404),
    ],
)
def test_bad_request_gets_its_status_and_harms_nobody(rig: Rig, request_: bytes, status: int) -> None:
    good, peer = rig.call()
    client = rig.connect(request_)
    rig.slots()
    answer = b"".join(iter(lambda: client.recv(4096), b""))  # up to the end of the stream
    assert answer.startswith(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()[:12])
    client.close()
    rig.slots(2)
    assert len(rig.port.connections) == 1
    good.sendall(text(b"still here"))
    rig.slots()
    assert peer.heard == [b"still here"]


def test_page_is_whole_and_the_connection_ends_behind_it(rig: Rig) -> None:
    client = rig.connect(b"GET /page?a=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head, _, body = b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"hello")
    assert b"\r\nContent-Length: 5\r\n" in head
    assert b"\r\nContent-Type: text/html" in head
    client.close()
    rig.slots(2)
    assert rig.port.connections == []
    assert rig.peers == []


@pytest.mark.parametrize("request_", [b"POST /page HTTP/1.1\r\n\r\n", UPGRADE.replace(b"GET /?a=1", b"PUT /page")])
def test_page_is_for_get_only(rig: Rig, request_: bytes) -> None:
    assert rig.connect(request_).recv(4096).startswith(b"HTTP/1.1 405 ")


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


def test_refused_is_503_with_retry_after(rig: Rig) -> None:
    rig.full = True
    answer = rig.connect(UPGRADE).recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 7\r\n" in answer


@pytest.mark.fault(11)
def test_one_more_than_max_connections_is_503_and_the_next_after_a_close_is_let_in() -> None:
    rig = Rig(connections=3)
    clients = [rig.call()[0] for _ in range(3)]
    assert rig.connect(UPGRADE).recv(4096).startswith(b"HTTP/1.1 503 ")
    rig.clients.pop().close()
    clients[0].close()
    rig.slots()
    rig.call()
    rig.port.close()
    for client in rig.clients:
        client.close()


def test_those_turned_away_take_no_place_while_they_linger() -> None:
    rig = Rig(connections=1)
    lost = rig.connect(UPGRADE.replace(b"/?a=1", b"/lost"))
    assert lost.recv(4096).startswith(b"HTTP/1.1 404 ")
    rig.call()
    rig.port.close()
    for client in rig.clients:
        client.close()


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
    assert len(rig.port.connections[0]._unsent) < MAX_READ + 4096
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
    frames = rig.port.connections[0]._websocket.frames
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


def test_mistake_in_the_code_ends_the_connection_that_found_it_and_no_other(rig: Rig) -> None:
    bad, bad_peer = rig.call()
    good, good_peer = rig.call()
    bad.sendall(text(b"find a mistake"))
    good.sendall(text(b"hello"))
    rig.slots()
    good.sendall(text(b"again"))
    rig.slots()
    assert (bad_peer.reasons, good_peer.reasons, good_peer.heard) == (["listener_failed"], [], [b"hello", b"again"])
    assert [type(error) for error in rig.errors] == [ZeroDivisionError]
    assert bad.recv(100) == b""


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


def test_closing_the_port_says_going_away(rig: Rig) -> None:
    client, peer = rig.call()
    rig.port.close()
    assert close_code(client.recv(100)) == 1001
    assert peer.reasons == ["peer_lost"]


@pytest.mark.fault(8)
def test_vanished_peer_is_found_by_the_kernel_within_40_s(rig: Rig) -> None:
    rig.call()
    accepted = rig.port.connections[0]._socket
    idle, interval, count = (
        accepted.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert idle + interval * count <= 40
    assert 0 < accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 40_000


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
