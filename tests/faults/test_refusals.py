"""Nothing is refused silently: every peer that a port turns away makes a line with address, reason and advice."""

from __future__ import annotations

import contextlib
import socket
import ssl
from urllib.parse import urlsplit

import pytest
import trustme

from flowcore import CannotStart
from nodes.net.http2 import PREFACE
from nodes.ringcx.call_sender import CallSender
from nodes.sources.ringcx import RingCX
from tests.support.live import Live, until
from tests.support.phone import Phone, knock
from tools.load import frame

PROXY_V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2"
UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def recording(folder, *settings, **options):
    return Live("record", [f"wav.path={folder}/{{call_id}}.wav", *settings], **options)


def dial(live):
    address = urlsplit(live.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def ask(live, request):
    """Send bytes, and return the answer up to the end of the stream."""
    with dial(live) as connection:
        connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(4096):
                answer += data
        return answer


def client_hello():
    goes = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), goes, server_hostname="localhost").do_handshake()
    return goes.read()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The setting for a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return f"call.tls={{cert: {folder}/cert.pem, key: {folder}/key.pem}}"


def upgrade_status(live):
    connection, answer = knock(live.url)
    connection.close()
    return int(answer.split()[1])


def rejections(live):
    return [
        (event.data["reason"], event.data["address"], event.data["times"]) for event in live.named("caller_rejected")
    ]


@pytest.mark.fault(6, 64)
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "no_upgrade"),
        (b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "no_upgrade"),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_request"),
        (b"GET / HTTP/1.0\r\n\r\n", "bad_request"),
        (b"hello\r\n\r\n", "bad_request"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", "bad_request"),
        (client_hello(), "tls_on_plain_port"),
        (PROXY_V1 + UPGRADE % b"/", "proxy_protocol"),
        (PROXY_V2 + UPGRADE % b"/", "proxy_protocol"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"),
    ],
    ids=["get", "other path", "post", "http 1.0", "no http", "endless", "tls", "proxy 1", "proxy 2", "http 2"],
)
def test_a_peer_that_is_turned_away_makes_one_line_with_address_reason_and_advice(tmp_path, request_, reason):
    with recording(tmp_path, 'call.transports=["websocket"]') as live:
        assert ask(live, request_).startswith((b"HTTP/1.1 4", b"HTTP/1.1 505"))
        until(lambda: live.named("caller_rejected"))
    assert rejections(live) == [(reason, "127.0.0.1", 1)]
    assert live.named("caller_rejected")[0].data["advice"]
    assert not live.named("connection_failed")


@pytest.mark.fault(6, 64)
@pytest.mark.parametrize(
    ("request_", "reason", "detail"),
    [
        (UPGRADE % b"/", "bad_tls", "use wss:// or https://"),
        (b"hello, who is there?\r\n", "bad_tls", "use wss:// or https://"),
        (PROXY_V1 + client_hello(), "proxy_protocol", ""),
        (PROXY_V2 + client_hello(), "proxy_protocol", ""),
    ],
    ids=["upgrade", "no http", "proxy 1", "proxy 2"],
)
def test_plain_bytes_on_a_tls_port_make_one_line_that_says_why(tmp_path, tls, request_, reason, detail):
    with recording(tmp_path, tls) as live:
        ask(live, request_)
        until(lambda: live.named("caller_rejected"))
    assert rejections(live) == [(reason, "127.0.0.1", 1)]
    assert live.named("caller_rejected")[0].data["detail"].endswith(detail)


@pytest.mark.fault(6, 64)
@pytest.mark.parametrize(
    ("plain", "reason", "detail"),
    [
        ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], "http2", ""),
        ([b"PRI *", b" HTTP/2.0\r\n"], "http2", ""),
        ([PROXY_V1 + UPGRADE % b"/"], "proxy_protocol", ""),
        ([], "no_request", "the peer left after the TLS handshake, as gRPC does that finds no HTTP/2"),
    ],
    ids=["http 2", "http 2 in pieces", "proxy 1", "nothing"],
)
def test_another_protocol_within_tls_makes_one_line_that_names_it(tmp_path, tls, plain, reason, detail):
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with recording(tmp_path, tls, 'call.transports=["websocket"]') as live:
        with trusting.wrap_socket(dial(live)) as connection:
            for piece in plain:
                connection.sendall(piece)
        until(lambda: live.named("caller_rejected"))
    assert rejections(live) == [(reason, "127.0.0.1", 1)]
    assert live.named("caller_rejected")[0].data["detail"] == detail


@pytest.mark.fault(64)
@pytest.mark.parametrize(
    ("sent", "reason", "detail"),
    [
        (PREFACE, "no_request", "it opened no stream of HTTP/2"),
        (PREFACE[:10], "no_request", "it opened no stream of HTTP/2"),
        (PREFACE + b"hello, who is there?", "bad_http2", "FRAME_SIZE_ERROR"),
    ],
    ids=["preface", "half a preface", "garbage"],
)
def test_http2_without_a_stream_makes_a_line(tmp_path, sent, reason, detail):
    with recording(tmp_path) as live:
        with dial(live) as connection:
            connection.sendall(sent)
        until(lambda: live.named("caller_rejected"))
    assert rejections(live) == [(reason, "127.0.0.1", 1)]
    assert live.named("caller_rejected")[0].data["detail"] == detail


@pytest.mark.fault(6, 64)
def test_bad_tls_says_that_the_peer_does_not_trust_the_certificate(tmp_path, tls):
    with recording(tmp_path, tls) as live:
        with pytest.raises(ssl.SSLCertVerificationError):
            Phone(live.url, tls=ssl.create_default_context())
        until(lambda: live.named("caller_rejected"))
    (event,) = live.named("caller_rejected")
    assert event.data["reason"] == "bad_tls"
    assert "does not trust the certificate" in event.data["detail"]


@pytest.mark.fault(6, 64)
def test_a_path_that_path_does_not_name_makes_a_line(tmp_path):
    with recording(tmp_path, "call.path=/ringcx/audio") as live:
        assert live.url.endswith("/ringcx/audio")
        assert ask(live, UPGRADE % b"/elsewhere?secret=hidden").startswith(b"HTTP/1.1 404 ")
        until(lambda: live.named("caller_rejected"))
        Phone(live.url + "?callId=one").start()
        until(lambda: live.named("flow_opened"))
    assert rejections(live) == [("unknown_path", "127.0.0.1", 1)]
    assert "hidden" not in str(live.events)


@pytest.mark.fault(5, 64)
@pytest.mark.parametrize(
    ("start", "detail"), [(b"", "it sent no request"), (b"GET / HT", "its handshake took too long")]
)
def test_a_peer_that_never_sends_a_whole_request_makes_a_line(tmp_path, start, detail):
    with recording(tmp_path, "call.handshake=200ms") as live:
        assert ask(live, start) == b""
        until(lambda: live.named("caller_rejected"))
    assert [event.data["detail"] for event in live.named("caller_rejected")] == [detail]


@pytest.mark.fault(64)
def test_a_peer_that_leaves_without_a_byte_makes_no_line(tmp_path):
    with recording(tmp_path) as live:
        dial(live).close()
        with dial(live) as half:
            half.sendall(b"GET / HT")
        until(lambda: live.named("caller_rejected"))
    assert [(event.data["reason"], event.data["times"]) for event in live.named("caller_rejected")] == [
        ("no_request", 1)
    ]


@pytest.mark.fault(5, 64)
def test_a_websocket_without_start_makes_a_line(tmp_path):
    with recording(tmp_path, "call.start=200ms") as live:
        with knock(live.url)[0] as connection:
            assert connection.recv(100)[:1] == b"\x88"
        until(lambda: live.named("start_missing"))
    (event,) = live.named("start_missing")
    assert (event.data["reason"], event.data["address"]) == ("no_start", "127.0.0.1")
    assert "doctor" in event.data["advice"]


@pytest.mark.fault(64)
def test_a_call_whose_start_cannot_be_read_makes_a_line_that_says_what_came(tmp_path):
    with recording(tmp_path) as live:
        phone = Phone(live.url)
        phone.say(phone.sender.connected(), b"{'event':'Start'}", *[phone.sender.media("agent", b"1" * 160)] * 20)
        phone.hang_up()
        until(lambda: live.named("start_missing"))
    (event,) = live.named("start_missing")
    assert event.data["detail"] == "1 bad_message:not_json, 20 media_before_start"


def test_a_peer_of_another_protocol_makes_a_line(tmp_path):
    with recording(tmp_path) as live:
        phone = Phone(live.url)
        phone.say(*[b"hello"] * 16)
        until(lambda: live.named("protocol_violated"))
    (event,) = live.named("protocol_violated")
    assert (event.data["reason"], event.data["address"]) == ("too_many_bad_messages", "127.0.0.1")
    assert "doctor" in event.data["advice"]
    assert not live.named("start_missing")


@pytest.mark.slow
@pytest.mark.fault(11, 64)
def test_refused_calls_make_one_line_a_second_with_their_number_and_the_address(tmp_path):
    with recording(tmp_path, max_calls=1) as live:
        Phone(live.url).start()
        until(lambda: live.engine.flows)
        for _ in range(150):
            assert upgrade_status(live) == 503
        until(lambda: live.engine.totals.refused == 150)
    lines = live.named("session_refused")
    assert sum(line.data["times"] for line in lines) == 150
    assert len(lines) <= 10
    assert {(line.data["reason"], line.data["address"]) for line in lines} == {("busy", "127.0.0.1")}


@pytest.mark.fault(11, 64)
def test_more_than_max_connections_make_a_line(tmp_path):
    with recording(tmp_path, "call.max_connections=1") as live:
        Phone(live.url).start()
        until(lambda: live.engine.flows)
        assert upgrade_status(live) == 503
        until(lambda: live.named("caller_rejected"))
    assert rejections(live) == [("too_many_connections", "127.0.0.1", 1)]


@pytest.mark.fault(66)
@pytest.mark.parametrize("target", [b"/ringcx/audio", b"/", b"http://host/", b"ws://host", b"HTTPS://host:1/a/b", b"*"])
def test_an_upgrade_to_any_path_or_an_absolute_target_is_a_call_and_keeps_its_query(tmp_path, target):
    with recording(tmp_path) as live:
        with dial(live) as connection:
            connection.sendall(UPGRADE % (target + b"?ani=5550100"))
            assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
            connection.sendall(frame(CallSender({"call_id": "one"}).start()))
            until(lambda: live.engine.flows)
            (flow,) = live.engine.flows.values()
        assert flow.session.attributes["ani"] == "5550100"


def test_probes_are_answered_also_when_path_names_another(tmp_path):
    with recording(tmp_path, "call.path=/ringcx/audio") as live:
        for target in (b"/", b"/ringcx/audio", b"/healthz"):
            assert ask(live, b"HEAD %s HTTP/1.1\r\n\r\n" % target).startswith(b"HTTP/1.1 200 ")
        assert ask(live, b"HEAD /other HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("path", ["ringcx", "", "/a?b", "/a b", "/#", "http://host/"])
def test_a_path_that_is_none_is_refused_with_what_to_write(path):
    with pytest.raises(ValueError, match="write a path without query, like /ringcx/audio"):
        RingCX.Config(path=path)


@pytest.mark.model  # the graph with a page begins with its decoders
@pytest.mark.parametrize("path", ["/client", "/healthz"])
def test_a_path_that_is_taken_by_a_page_is_named(tmp_path, path):
    with (
        pytest.raises(CannotStart, match=rf"^call\.path: {path} has a page: choose another path"),
        Live("transcribe", [f"call.path={path}"]),
    ):
        pass


def test_probes_are_200_and_all_but_healthz_are_503_once_the_process_stops(tmp_path):
    with recording(tmp_path) as live:
        for request in (
            b"HEAD / HTTP/1.1",
            b"GET /healthz HTTP/1.1",
            b"GET /healthz HTTP/1.0",
            b"HEAD /healthz HTTP/1.1",
            b"GET /readyz HTTP/1.1",
        ):
            head, _, body = ask(live, request + b"\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert body == (b"" if request.startswith(b"HEAD") else b"ok\n")
        live.engine.draining = True
        for request, code in ((b"GET /healthz", b"200"), (b"GET /readyz", b"503"), (b"HEAD /", b"503")):
            assert ask(live, request + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 " + code)
    assert not live.named("caller_rejected")
    assert not live.named("session_refused")
