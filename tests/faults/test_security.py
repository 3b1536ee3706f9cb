"""Rows 3 to 6, 11, 13 to 16, 20: access, encryption, and the cost of strangers, on whole engines."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
import trustme

from flowcore import CannotStart
from flowcore.errors import GraphError
from nodes.sources.ringcx import RingCX
from tests.support.live import ROOT, Live, until
from tests.support.phone import Phone, knock, said, stereo

pytestmark = pytest.mark.slow

MIB = 1 << 20
SECRET = "s3cret/of+ours=4711"
BASIC = base64.b64encode(f"ringcx:{SECRET}".encode()).decode()


def recording(folder, *settings, **options):
    return Live("record", [f"wav.path={folder}/{{call_id}}.wav", *settings], **options)


def status(url, headers="", source=""):
    """Return the status of the upgrade."""
    connection, answer = knock(url, headers=headers, source=source)
    connection.close()
    return int(answer.split()[1])


def close_code(connection):
    heard = connection.recv(4096)
    assert heard[0] == 0x88
    return int.from_bytes(heard[2:4], "big")


def written(folder):
    """Files of calls: the lock of the folder is none."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def whole_call(url, call="good", **how):
    phone = Phone(url, call, **how)
    phone.start()
    phone.talk(7, 0.2)
    phone.stop()
    phone.hang_up()


@pytest.mark.fault(3)
def test_pings_of_a_peer_that_never_reads_stop_being_read(tmp_path):
    ping = b"\x89\xfd" + bytes(4) + bytes(125)
    with recording(tmp_path, "call.max_speed=100000") as live:
        deaf = Phone(live.url, "deaf")
        deaf.start()
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        before, sent = psutil.Process().memory_info().rss, 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * MIB:
                deaf.socket.settimeout(0.5 if sent > MIB else 30)  # so much is read, and on a busy machine late
                sent += deaf.socket.send(ping * 2000)
        assert MIB < sent < 64 * MIB
        assert psutil.Process().memory_info().rss - before < 5 * MIB
        whole_call(live.url)
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(7, 0.2))


@pytest.mark.fault(4)
def test_compression_is_always_declined(tmp_path):
    with recording(tmp_path) as live:
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        connection, answer = knock(live.url, headers=offer)
        connection.close()
    assert b" 101 " in answer
    assert b"extensions" not in answer.lower()


@pytest.mark.fault(5)
def test_slow_handshakes_are_all_gone_at_their_limit_and_a_good_call_goes_on(tmp_path):
    assert RingCX.Config().handshake == 5.0
    with recording(tmp_path) as live:  # with less than that a busy machine is late for the good call
        host, port = live.url.removeprefix("ws://").rstrip("/").split(":")
        slow = [socket.create_connection((host, int(port)), timeout=30) for _ in range(200)]
        for connection in slow:
            connection.sendall(b"G")
        whole_call(live.url)
        for connection in slow:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
            connection.close()
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(7, 0.2))
    assert live.engine.totals.flows == 1


HEAD = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
BAD_REQUESTS = [
    f"POST / HTTP/1.1\r\n{HEAD}{KEY}\r\n",
    "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET / HTTP/1.1\r\n{HEAD}\r\n",
    f"GET / HTTP/1.1\r\n{HEAD.replace('13', '8')}{KEY}\r\n",
    f"GET / HTTP/1.1\r\n{HEAD.replace('websocket', 'h2c')}{KEY}\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /" + "a" * 9000 + " HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\nX: " + "a" * 9000 + "\r\n",
    "GET / HTTP/1.1\r\n" + "X: y\r\n" * 200 + "\r\n",
    "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    "hello\r\n\r\n",
]


@pytest.mark.fault(6)
def test_twelve_bad_requests_get_4xx_and_the_next_call_is_taken(tmp_path):
    with recording(tmp_path) as live:
        host, port = live.url.removeprefix("ws://").rstrip("/").split(":")
        for request in BAD_REQUESTS:
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.sendall(request.encode())
                assert 400 <= int(connection.recv(4096).split()[1]) < 500, request
        whole_call(live.url)
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(7, 0.2))
    assert not live.named("connection_failed")


@pytest.mark.fault(11)
def test_beyond_max_calls_per_ip_exactly_the_rest_gets_503_and_other_addresses_none(tmp_path):
    with recording(tmp_path, "call.max_calls_per_ip=3") as live:
        phones = [Phone(live.url, f"call{number}") for number in range(3)]
        for phone in phones:
            phone.start()
        refused = 0
        for _ in range(50):
            connection, answer = knock(live.url)
            connection.close()
            refused += answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 5\r\n" in answer
        assert refused == 50
        other, answer = knock(live.url, source="127.0.0.2")
        assert b" 101 " in answer
        other.close()
        phones.pop().hang_up()
        until(lambda: status(live.url) == 101)  # the place is free again
        for phone in phones:
            phone.talk(7, 0.2)
            phone.stop()
            phone.hang_up()
    for number in range(2):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), said(7, 0.2))
    told = [event.data for event in live.named("caller_rejected")]
    assert {(one["reason"], one["address"]) for one in told} == {("too_many_of_address", "127.0.0.1")}


def guarded(folder, monkeypatch, mode="require", **options):
    monkeypatch.setenv("RINGCX_SECRET", SECRET)
    return recording(folder, "call.secret=${RINGCX_SECRET}", f"call.secret_mode={mode}", **options)


def by_start(metadata):
    """The place in messages: what to say before the first audio."""
    start = {"callId": "good", "sessionId": 1, "contentType": "audio/x-mulaw", "sampleRateHertz": 8000} | metadata
    return json.dumps({"event": "Start", "metadata": start}).encode()


PLACES = {
    "header.Authorization": {"headers": f"Authorization: {SECRET}\r\n"},
    "header.authorization": {"headers": f"authorization: Bearer {SECRET}\r\n"},
    "header.Authorization, basic": {"headers": f"Authorization: Basic {BASIC}\r\n"},
    "header.X-Any-Name": {"headers": f"X-Any-Name: {SECRET}\r\n"},
    "query.secret": {"query": "?callId=1&secret=s3cret%2Fof%2Bours%3D4711"},
    "query.t": {"query": "?t=s3cret/of+ours=4711"},
    "Connected.secret": {"say": json.dumps({"event": "Connected", "secret": SECRET}).encode()},
    "Start.metadata.secret": {"metadata": {"secret": SECRET}},
}


@pytest.mark.fault(13)
@pytest.mark.parametrize("place", PLACES)
def test_the_right_secret_is_found_wherever_it_is_and_goes_no_further(place, tmp_path, monkeypatch):
    how = PLACES[place]
    with guarded(tmp_path, monkeypatch, calls=1) as live:
        sessions = []
        live.engine.on_closed.append(lambda flow: sessions.append(flow.session))
        phone = Phone(live.url + how.get("query", ""), headers=how.get("headers", ""))
        phone.say(how.get("say", phone.sender.connected()), by_start(how.get("metadata", {})))
        phone.talk(7, 0.2)
        phone.stop()
        phone.hang_up()
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(7, 0.2))
    assert SECRET not in repr(sessions) + repr(live.events)


def mutations():
    picks = random.Random(13)
    for _ in range(20):
        letters = list(SECRET)
        match picks.randrange(4):
            case 0:
                letters.pop(picks.randrange(len(letters)))
            case 1:
                letters.insert(picks.randrange(len(letters)), "x")
            case 2:
                at = picks.randrange(len(letters))
                letters[at] = chr(ord(letters[at]) ^ 1)
            case 3:
                letters = letters[::-1]
        yield "".join(letters)


@pytest.mark.fault(13)
def test_wrong_secrets_are_401_and_make_no_flow_no_file_and_no_line_that_holds_them(tmp_path, monkeypatch):
    wrong = list(mutations())
    assert SECRET not in wrong
    with guarded(tmp_path, monkeypatch) as live:
        answers = [status(live.url, f"Authorization: Bearer {secret}\r\n") for secret in wrong]
        answers += [status(f"{live.url}?secret={secret}") for secret in wrong]
        until(lambda: sum(event.data["times"] for event in live.named("caller_rejected")) == 40)
    assert answers == [401] * 40
    assert live.engine.totals.flows == 0
    assert written(tmp_path) == []
    assert not any(secret in repr(live.events) for secret in (SECRET, *wrong))


@pytest.mark.fault(13)
def test_a_start_without_the_secret_is_closed_with_1008_before_there_is_a_flow(tmp_path, monkeypatch):
    with guarded(tmp_path, monkeypatch) as live:
        for metadata in ({}, {"secret": "wrong"}, {"secret": SECRET + "x"}):
            phone = Phone(live.url)
            phone.say(phone.sender.connected(), by_start(metadata))
            phone.talk(7, 0.2)
            assert close_code(phone.socket) == 1008
        until(lambda: sum(event.data["times"] for event in live.named("caller_rejected")) == 3)
    assert live.engine.totals.flows == 0
    assert written(tmp_path) == []


@pytest.mark.fault(13)
@pytest.mark.parametrize("place", [*PLACES, "Stop.secret", ""])
def test_observe_lets_all_in_and_tells_the_name_of_the_place_only(place, tmp_path, monkeypatch):
    how = PLACES.get(place, {})
    with guarded(tmp_path, monkeypatch, "observe", calls=1) as live:
        phone = Phone(live.url + how.get("query", ""), headers=how.get("headers", ""))
        phone.say(how.get("say", phone.sender.connected()), by_start(how.get("metadata", {})))
        phone.talk(7, 0.1)
        phone.say(json.dumps({"event": "Stop", "secret": SECRET if place == "Stop.secret" else "-"}).encode())
        phone.stop()
        phone.hang_up()
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(7, 0.1))
    assert [event.data["place"] for event in live.named("secret_found")] == [place.split(",")[0]] * bool(place)
    assert len(live.named("secret_missing")) == (not place)
    assert SECRET not in repr(live.events)


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        ("", 101),
        ("https://good.example", 101),
        ("https://evil-good.example", 403),
        ("https://good.example.evil.com", 403),
        ("http://good.example", 403),
        ("null", 403),
    ],
)
def test_a_web_page_may_call_only_when_it_is_listed(origin, answer, tmp_path):
    with recording(tmp_path, "call.origins=[https://good.example]") as live:
        assert status(live.url, f"Origin: {origin}\r\n" if origin else "") == answer
    with recording(tmp_path) as live:
        assert status(live.url, f"Origin: {origin}\r\n" if origin else "") == (403 if origin else 101)


@pytest.mark.fault(15)
@pytest.mark.parametrize("host", ["0.0.0.0", "''", "::", "192.0.2.1", "phone.example"])
def test_other_machines_are_not_listened_to_in_the_clear(host):
    with pytest.raises(GraphError, match="through the network in the clear: give tls a certificate, name in behind_pr"):
        Live("record", [f"call.host={host}"])
    for safe in ("call.behind_proxy=[10.0.0.1]", "call.tls={cert: a.pem, key: b.pem}"):
        Live("record", [f"call.host={host}", safe])


@pytest.mark.fault(15)
@pytest.mark.slow
def test_the_command_says_why_and_leaves_with_2(tmp_path):
    command = [Path(sys.executable).with_name("flowcore"), "run", ROOT / "graphs" / "record.yaml"]
    done = subprocess.run([*command, "--set", "call.host=0.0.0.0"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "through the network in the clear" in done.stderr


@pytest.mark.fault(16)
def test_only_a_listed_proxy_is_believed(tmp_path):
    settings = ["call.behind_proxy=[127.0.0.3]", "call.networks=[192.0.2.0/24]"]
    with recording(tmp_path, *settings) as live:
        for forged in ("X-Forwarded-For: 192.0.2.9\r\n", "Forwarded: for=192.0.2.9\r\n"):
            assert status(live.url, forged, "127.0.0.2") == 403
            assert status(live.url, forged, "127.0.0.3") == 101
        assert status(live.url, "X-Forwarded-For: 6.6.6.6, 192.0.2.9\r\n", "127.0.0.3") == 101
        assert status(live.url, "X-Forwarded-For: 192.0.2.9, 6.6.6.6\r\n", "127.0.0.3") == 403
        both = "X-Forwarded-For: 192.0.2.8\r\nForwarded: for=192.0.2.9\r\n"
        assert status(live.url, both, "127.0.0.3") == 400
        until(lambda: sum(event.data["times"] for event in live.named("caller_rejected")) == 4)
    told = {(event.data["reason"], event.data["address"]) for event in live.named("caller_rejected")}
    assert told >= {("foreign_network", "6.6.6.6"), ("proxy_contradicts_itself", "127.0.0.3")}


def test_accounts_that_are_not_listed_are_refused_by_query_and_by_start(tmp_path):
    with recording(tmp_path, 'call.accounts=["99990000"]') as live:
        assert status(f"{live.url}?EVAccountId=99990001") == 403
        phone = Phone(f"{live.url}?EVAccountId=99990000")
        phone.say(by_start({"accountId": "99990001"}))
        assert close_code(phone.socket) == 1008
        assert live.engine.totals.flows == 0
        phone = Phone(live.url)
        phone.say(by_start({"accountId": 1, "subaccountId": 99990000}))
        phone.talk(7, 0.2)
        phone.stop()
        phone.hang_up()
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(7, 0.2))


def test_the_upgrade_is_answered_before_anything_of_a_call_exists(tmp_path, monkeypatch):
    with guarded(tmp_path, monkeypatch) as live:
        phone = Phone(live.url, headers=f"Authorization: {SECRET}\r\n")  # answered: 101
        phone.say(phone.sender.connected())
        phone.socket.sendall(b"\x89\x80" + bytes(4))  # a ping is answered once all before it was read
        assert phone.socket.recv(2) == b"\x8a\x00"
        assert (live.engine.flows, live.named("flow_opened"), written(tmp_path)) == ({}, [], [])
        phone.say(by_start({}))
        until(lambda: live.named("flow_opened"))


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def certificate(folder, authority, name="localhost", **dates):
    """Settings for a certificate of that name."""
    issued = authority.issue_cert(name, **dates)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return f"call.tls={{cert: {folder}/cert.pem, key: {folder}/key.pem}}"


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_a_call_over_tls_is_recorded_bit_by_bit(tmp_path, authority):
    with recording(tmp_path / "wav", certificate(tmp_path, authority), calls=1) as live:
        assert live.url.startswith("wss://")
        whole_call(live.url, tls=trusting(authority))
    assert np.array_equal(stereo(tmp_path / "wav" / "good.wav"), said(7, 0.2))


def test_a_certificate_that_cannot_be_read_keeps_the_process_from_starting_by_one_line(tmp_path):
    missing = f"call.tls={{cert: {tmp_path}/none.pem, key: {tmp_path}/none.key}}"
    with (
        pytest.raises(CannotStart, match=r"^call\.tls\.cert: cannot read .*none\.pem: No such file"),
        recording(tmp_path, missing),
    ):
        pass


def test_a_new_certificate_is_read_without_ending_a_call_and_a_bad_one_is_told(tmp_path, authority):
    with recording(tmp_path / "wav", certificate(tmp_path, authority)) as live:
        phone = Phone(live.url, "good", tls=trusting(authority))
        phone.start()
        phone.talk(7, 0.1)
        (tmp_path / "cert.pem").write_text("in the middle of a renewal")
        live.reload()
        whole_call(live.url, "old certificate", tls=trusting(authority))
        certificate(tmp_path, authority, "renewed.example")
        live.reload()
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            Phone(live.url, tls=trusting(authority))
        phone.stop()
        phone.hang_up()
    assert np.array_equal(stereo(tmp_path / "wav" / "good.wav"), said(7, 0.1))
    assert [event.name for event in live.events if "reload" in event.name] == ["reload_failed", "files_reloaded"]


@pytest.mark.fault(65)
def test_an_expired_certificate_is_named_at_the_start_and_at_every_reload(tmp_path, authority):
    today = datetime.now(UTC)
    expired = certificate(
        tmp_path, authority, not_before=today - timedelta(days=90), not_after=today - timedelta(days=1)
    )
    with recording(tmp_path / "wav", expired) as live:
        live.reload()
        certificate(tmp_path, authority, not_after=today + timedelta(days=13))
        live.reload()
        certificate(tmp_path, authority, not_after=today + timedelta(days=15))
        live.reload()
    told = [(event.data["reason"], event.level, event.data["path"]) for event in live.named("certificate_outdated")]
    path = f"{tmp_path}/cert.pem"
    assert told == [("expired", "error", path), ("expired", "error", path), ("expires_soon", "warning", path)]
    assert all("renew" in event.data["advice"] for event in live.named("certificate_outdated"))
    assert [event.data["files"] for event in live.named("files_reloaded")] == [[path, f"{tmp_path}/key.pem"]] * 3


def test_host_of_all_addresses_takes_calls_over_ipv4_and_ipv6(tmp_path):
    everywhere = ["call.host=::", "call.behind_proxy=['127.0.0.0/8', '::1/128']"]
    with recording(tmp_path, *everywhere, calls=2) as live:
        port = live.url.rstrip("/").rpartition(":")[2]
        whole_call(f"ws://127.0.0.1:{port}/", "four")
        whole_call(f"ws://[::1]:{port}/", "six")
    assert len(written(tmp_path)) == 4  # each with its metadata


def test_strangers_are_warned_of_where_nothing_keeps_them_out(tmp_path, monkeypatch, authority):
    tls = certificate(tmp_path, authority)
    with recording(tmp_path, "call.host=0.0.0.0", tls) as live:
        pass
    assert len(live.named("port_unprotected")) == 1
    with recording(tmp_path, public="https://calls.example") as live:
        pass
    assert len(live.named("port_unprotected")) == 1
    monkeypatch.setenv("RINGCX_SECRET", SECRET)
    for rule in ("call.secret=${RINGCX_SECRET}", "call.networks=[192.0.2.0/24]"):
        with recording(tmp_path, "call.host=0.0.0.0", tls, rule) as live:
            pass
        assert not live.named("port_unprotected")
