"""The polled port over real sockets, in a time that the test decides."""

from http import HTTPStatus
from ipaddress import ip_network

import pytest

from flowcore import open_files
from nodes.net.proxy_trust import ProxyTrust
from tests.support.rig import HEADERS, UPGRADE, Rig, close_code, text


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
def test_bad_request_gets_its_status_and_harms_no_other_connection(rig: Rig, request_: bytes, status: int) -> None:
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


def test_closing_the_port_says_going_away(rig: Rig) -> None:
    client, peer = rig.call()
    rig.port.close()
    assert close_code(client.recv(100)) == 1001
    assert peer.reasons == ["peer_lost"]


LOCAL_PROXY = [{"proxy_trust": ProxyTrust(proxies=(ip_network("127.0.0.0/8"),))}]
REMOTE_PROXY = [{"connections": 1, "proxy_trust": ProxyTrust(proxies=(ip_network("10.0.0.0/8"),))}]


def behind_proxy(**headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET / HTTP/1.1\r\n{HEADERS}{lines}\r\n".encode()


@pytest.mark.parametrize("rig", LOCAL_PROXY, indirect=True)
def test_the_route_gets_the_address_that_a_trusted_proxy_names(rig: Rig) -> None:
    assert rig.connect(behind_proxy(X_Forwarded_For="192.0.2.7")).recv(4096).startswith(b"HTTP/1.1 101 ")
    assert [str(address) for address in rig.callers] == ["192.0.2.7"]


@pytest.mark.parametrize("rig", LOCAL_PROXY, indirect=True)
def test_headers_that_contradict_each_other_are_400_and_reported(rig: Rig) -> None:
    request = behind_proxy(X_Forwarded_For="192.0.2.7", Forwarded="for=192.0.2.8")
    rig.connect(b"GET / HTTP/1.1\r\n" + request.partition(b"\r\n")[2])
    assert rig.rejected == ["proxy_contradicts_itself"]
    assert rig.callers == []


@pytest.mark.parametrize("rig", REMOTE_PROXY, indirect=True)
def test_a_port_behind_remote_proxies_still_accepts_this_machine(rig: Rig) -> None:
    rig.call()
    assert rig.rejected == []


@pytest.mark.parametrize("rig", [{"connections": 1}], indirect=True)
def test_rejected_connections_that_stay_are_closed_when_there_are_too_many(rig: Rig) -> None:
    rig.call()
    lost = UPGRADE.replace(b"/?a=1", b"/lost")
    for _ in range(4):
        assert rig.connect(lost).recv(4096).startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 503 "))
    rig.slots(2)
    assert len(rig.port.connections) <= 2


def few_files(monkeypatch: pytest.MonkeyPatch, rig: Rig, free: int) -> None:
    """Let the process have ``free`` more descriptors, out of 1024, than those of the port's connections."""
    monkeypatch.setattr(open_files, "room", lambda: open_files.Room(free - len(rig.port.connections), 1024))


@pytest.mark.fault(55)
def test_when_files_are_short_the_oldest_stranger_makes_room_and_a_call_stays(rig, monkeypatch):
    call, peer = rig.call()
    few_files(monkeypatch, rig, 256 + 4)
    strangers = [rig.connect() for _ in range(30)]
    assert len(rig.port.connections) == 1 + 17
    assert rig.rejected == ["open_files"] * 13
    assert [stranger.recv(1) for stranger in strangers[:13]] == [b""] * 13
    rig.call()
    call.sendall(text(b"still here"))
    rig.slots()
    assert peer.heard == [b"still here"]


@pytest.mark.fault(55)
def test_when_files_are_short_calls_that_come_together_do_not_end_each_others_handshakes(rig, monkeypatch):
    few_files(monkeypatch, rig, 256)
    together = [rig.connect(slots=0) for _ in range(16)]
    rig.slots()
    for client in together:
        client.sendall(UPGRADE)
    rig.slots()
    assert all(client.recv(4096).startswith(b"HTTP/1.1 101 ") for client in together)
    assert not rig.rejected


@pytest.mark.fault(55)
def test_connections_may_take_the_files_that_strangers_leave_and_the_last_ones_are_kept(rig, monkeypatch):
    few_files(monkeypatch, rig, 64 + 5)
    calls = [rig.call() for _ in range(5)]
    refused = rig.connect()
    assert refused.recv(1) == b""
    assert rig.rejected == ["open_files"]
    assert not any(peer.reasons for _, peer in calls)
