"""The gRPC listener on a whole engine, with real streams: the same calls as over WebSocket, one word apart."""

from __future__ import annotations

import base64
import filecmp
import json
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import msgspec
import numpy as np
import pytest
import trustme
from hyperframe.frame import SettingsFrame
from pydantic import ValidationError

from flowcore import CannotStart, Text
from flowcore.control import find_call
from nodes.net import connection
from nodes.net.grpc_framing import MAX_MESSAGE
from nodes.net.http2 import PREFACE
from nodes.ringcx import grpc_service
from nodes.sources.ringcx_grpc import RingCXGrpc
from tests.support.asking import hub
from tests.support.live import PATIENCE, Live, until
from tests.support.phone import Phone, knock, said, stereo
from tests.support.phone_grpc import TRACKS, GrpcPhone, over_grpc
from tests.support.ports import free_port
from tests.support.watching import SPOKEN

pytestmark = pytest.mark.slow

SECRET = "s3cret/of+ours=4711"
CA = trustme.CA()


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("RINGCX_SECRET", SECRET)


def recording(folder, *settings, **options):
    # These calls keep no time, and what a busy machine is late with is no pause in them.
    settings = [f"wav.path={folder}/{{call_id}}.wav", "ordered.hold=collapse", *settings]
    return Live(over_grpc(folder, "record"), settings, **options)


def whole_call(url, call="one", seconds=1.0, **how):
    phone = GrpcPhone(url, call, **how)
    phone.start()
    phone.talk(7, seconds)
    return phone.hang_up()


def reasons(live):
    return live.engine.totals.reasons


def sent(live):
    """Packets that each flow got so far."""
    return [flow.stats()["call"].left.chunks for flow in live.engine.flows.values()]


@pytest.mark.parametrize("name", ["20261130120000001", "s-v-7", "STREAM-9", "(555) 010-0123", "agent"])
def test_a_live_call_is_found_by_any_of_its_ids(tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    ids = {"dialog_id": "s-v-7", "session_id": "STREAM-9", "ani": "5550100123"}
    with recording(tmp_path, calls=1) as live, hub(live) as control:
        phone = GrpcPhone(live.url, "20261130120000001", **ids)
        phone.start()  # the segments are called agent and customer
        phone.talk(7, 0.5)
        until(lambda: live.engine.flows)
        assert find_call(control, name)["call_id"] == "20261130120000001"
        assert phone.hang_up() == "OK"


def test_the_same_call_over_both_transports_of_one_port_gives_the_same_bytes(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse"], calls=2) as live:
        assert whole_call(live.url.rstrip("/"), "grpc", 3.1) == "OK"
        phone = Phone(live.url, "websocket")
        phone.start()
        phone.talk(7, 3.1)
        phone.stop()
        phone.hang_up()
    assert reasons(live) == {"stop": 2}
    assert np.array_equal(stereo(tmp_path / "grpc.wav"), said(7, 3.1))
    assert filecmp.cmp(tmp_path / "grpc.wav", tmp_path / "websocket.wav", shallow=False)


def test_many_calls_over_one_connection_do_not_mix(tmp_path):
    with recording(tmp_path, calls=5) as live:
        first = GrpcPhone(live.url, "call-0")
        phones = [first, *(GrpcPhone(live.url, f"call-{n}", channel=first.channel) for n in range(1, 5))]
        for n, phone in enumerate(phones):
            phone.start()
            phone.talk(n, 1.0)
        until(lambda: len(live.engine.flows) == 5)
        assert {phone.hang_up() for phone in phones[1:]} == {"OK"}
        assert first.hang_up() == "OK"
    for n in range(5):
        assert np.array_equal(stereo(tmp_path / f"call-{n}.wav"), said(n, 1.0))


def test_calls_at_once_do_not_mix(tmp_path):
    with recording(tmp_path, calls=5) as live:
        phones = [GrpcPhone(live.url, f"call-{n}") for n in range(5)]
        for n, phone in enumerate(phones):
            phone.start()
            phone.talk(n, 1.0)
        assert {phone.hang_up() for phone in phones} == {"OK"}
    for n in range(5):
        assert np.array_equal(stereo(tmp_path / f"call-{n}.wav"), said(n, 1.0))


@pytest.mark.fault(64)
def test_a_peer_that_reports_hundreds_of_participants_and_holds_makes_a_few_lines(tmp_path):
    with recording(tmp_path, calls=1) as live:
        phone = GrpcPhone(live.url)
        phone.start()
        phone.talk(7, 0.2)
        for track in TRACKS:
            joined = [phone.sender.segment_stop(track), phone.sender.segment_start(track)]
            phone.say(*[*joined, phone.sender.info(track, "hold")] * 300)
        assert phone.hang_up() == "OK"
    for name in ("participant_joined", "segment_reported"):
        events = live.named(name)
        assert sum(event.data["times"] for event in events) == 2 * 300
        assert {event.data["track"] for event in events} == set(TRACKS)
        assert len(events) < 60  # one a second for each party, however slow the machine


BASIC = base64.b64encode(f"ringcx:{SECRET}".encode()).decode()
NOT_BASIC = base64.b64encode(b"ringcx:s3cret/of+ours=4712").decode()


@pytest.mark.parametrize("shown", [SECRET, f"Bearer {SECRET}", f"Basic {BASIC}"], ids=["raw", "bearer", "basic"])
def test_credentials_in_the_metadata_let_a_call_in_and_are_in_no_file(tmp_path, shown):
    with recording(tmp_path, "call.secret=${RINGCX_SECRET}", calls=1) as live:
        assert whole_call(live.url, metadata=(("authorization", shown),)) == "OK"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert SECRET not in str(live.events)


@pytest.mark.fault(13)
@pytest.mark.parametrize("shown", ["", SECRET[:-1], f"Bearer {SECRET}x", f"Basic {NOT_BASIC}", "Basic ???", "Digest x"])
def test_wrong_or_no_credentials_are_unauthenticated_before_any_flow(tmp_path, shown):
    with recording(tmp_path, "call.secret=${RINGCX_SECRET}") as live:
        assert whole_call(live.url, metadata=(("authorization", shown),) if shown else ()) == "UNAUTHENTICATED"
        until(lambda: live.named("caller_rejected"))
    assert live.engine.totals.flows == 0
    assert not list(tmp_path.rglob("*.wav*"))


def test_observe_tells_the_place_of_the_secret(tmp_path):
    with recording(tmp_path, "call.secret=${RINGCX_SECRET}", "call.secret_mode=observe", calls=2) as live:
        whole_call(live.url, "a", metadata=(("authorization", f"Bearer {SECRET}"),))
        whole_call(live.url, "b")
    assert [event.data["place"] for event in live.named("secret_found")] == ["header.authorization"]
    assert len(live.named("secret_missing")) == 1


def test_foreign_networks_and_accounts_are_not_permitted(tmp_path):
    with recording(tmp_path, 'call.networks=["192.0.2.0/24"]') as live:
        assert whole_call(live.url) == "PERMISSION_DENIED"
    with recording(tmp_path, 'call.accounts=["ours"]') as live:
        assert whole_call(live.url) == "PERMISSION_DENIED"
    assert live.engine.totals.flows == 0


def test_too_many_calls_are_refused_with_retry_and_the_others_go_on(tmp_path):
    with recording(tmp_path, max_calls=2, calls=2) as live:
        phones = [GrpcPhone(live.url, f"call-{n}") for n in range(2)]
        for n, phone in enumerate(phones):
            phone.start()
            phone.talk(n, 0.5)
        until(lambda: len(live.engine.flows) == 2)
        assert whole_call(live.url, "three") == "UNAVAILABLE"
        for n, phone in enumerate(phones):
            phone.talk(n, 1.0, since=0.5)
        assert {phone.hang_up() for phone in phones} == {"OK"}
    for n in range(2):
        assert np.array_equal(stereo(tmp_path / f"call-{n}.wav"), said(n, 1.0))


def test_more_streams_than_allowed_are_refused_and_do_not_wait(tmp_path):
    with recording(tmp_path, "call.max_connections=1", calls=1) as live:
        phone = GrpcPhone(live.url)
        phone.start()
        phone.talk(7, 0.2)
        until(lambda: live.engine.flows)
        more = GrpcPhone(live.url, "two")
        assert (more.answer(), more.call.details()) == ("UNAVAILABLE", "too many streams")
        assert phone.hang_up() == "OK"


def test_connections_that_ask_for_nothing_are_limited_too(tmp_path, monkeypatch):
    monkeypatch.setattr(grpc_service, "SPARE_CONNECTIONS", 4)
    with recording(tmp_path, "call.max_connections=1", calls=1) as live:
        host, port = live.url.partition("://")[2].split(":")
        idle = [socket.create_connection((host, int(port)), 30) for _ in range(8)]
        for one in idle:
            one.sendall(PREFACE + SettingsFrame(0).serialize())
            assert one.recv(9)  # HTTP/2's settings
        until(lambda: len(live.named("caller_rejected")) > 0)
        assert {event.data["reason"] for event in live.named("caller_rejected")} == {"too_many_connections"}
        for one in idle:
            one.close()
        until(lambda: whole_call(live.url) == "OK")  # as soon as their ends are seen


def test_a_cancelled_stream_is_the_end_of_the_call_and_keeps_its_audio(tmp_path):
    with recording(tmp_path, calls=1) as live:
        phone = GrpcPhone(live.url)
        phone.start()
        phone.talk(7, 1.0)
        until(lambda: sent(live) == [20])
        phone.cancel()
    assert reasons(live) == {"cancelled": 1}
    assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, 1.0))


@pytest.mark.fault(1)
def test_a_message_too_big_ends_its_call_alone_and_keeps_the_audio(tmp_path):
    with recording(tmp_path, calls=2) as live:
        good = GrpcPhone(live.url, "good")
        good.start()
        bad = GrpcPhone(live.url, "bad")
        bad.start()
        bad.talk(7, 1.0)
        bad.say(bad.sender.media("agent", bytes(MAX_MESSAGE)))
        assert bad.answer() == "RESOURCE_EXHAUSTED"
        good.talk(3, 1.0)
        assert good.hang_up() == "OK"
    assert np.array_equal(stereo(tmp_path / "bad.wav"), said(7, 1.0))
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(3, 1.0))


@pytest.mark.fault(7)
def test_garbage_ends_its_call_with_a_word_and_keeps_the_audio(tmp_path):
    with recording(tmp_path, calls=1) as live:
        phone = GrpcPhone(live.url)
        phone.start()
        phone.talk(7, 1.0)
        phone.say(*[b"\xff"] * 20)
        assert phone.answer() == "INVALID_ARGUMENT"
        assert "too many messages" in phone.call.details()
    assert reasons(live) == {"peer_broke_protocol": 1}
    assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, 1.0))


@pytest.mark.fault(24)
def test_a_codec_that_is_not_taken_is_refused_with_what_to_set(tmp_path):
    with recording(tmp_path) as live:
        phone = GrpcPhone(live.url)
        phone.say(phone.sender.dialog_init(), phone.sender.segment_start("agent", 1))
        assert phone.answer() == "INVALID_ARGUMENT"
        assert "OPUS at 8000 Hz is not taken: set the Start Stream node to PCMU" in phone.call.details()
    assert live.engine.totals.flows == 0


def test_other_methods_are_unimplemented(tmp_path):
    with recording(tmp_path) as live, grpc.insecure_channel(live.url.partition("://")[2]) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/other.Service/Method")(b"", timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.fault(64)
def test_a_method_that_is_not_ringcxs_makes_a_line(tmp_path):
    with recording(tmp_path) as live:
        with grpc.insecure_channel(live.url.removeprefix("grpc://")) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary("/another.Service/Method")(b"", timeout=PATIENCE)
        until(lambda: live.named("caller_rejected"))
    (event,) = live.named("caller_rejected")
    assert (event.data["reason"], event.data["address"]) == ("unknown_path", "127.0.0.1")


@pytest.mark.fault(64)
def test_a_call_over_websocket_to_a_port_of_grpc_alone_makes_a_line_and_a_probe_none(tmp_path):
    with recording(tmp_path) as live:
        url = live.url.replace("grpc://", "http://")
        with urllib.request.urlopen(urllib.request.Request(f"{url}/", method="HEAD"), timeout=PATIENCE) as answer:
            assert answer.status == 200
        connection, answer = knock(live.url.replace("grpc://", "ws://"))
        connection.close()
        assert answer.startswith(b"HTTP/1.1 404 ")
        until(lambda: live.named("caller_rejected"))
    (event,) = live.named("caller_rejected")
    assert (event.data["reason"], event.data["times"]) == ("no_websocket", 1)


@pytest.mark.parametrize("service", ["", "ringcentral.ringcx.streaming.v1beta2.Streaming"])
def test_grpc_health_is_serving_until_the_process_stops(tmp_path, service):
    request = bytes([10, len(service)]) + service.encode()
    with recording(tmp_path) as live, grpc.insecure_channel(live.url.removeprefix("grpc://")) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=PATIENCE) == b"\x08\x01"  # SERVING
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(request, timeout=PATIENCE)
        assert next(watch) == b"\x08\x01"
        live.engine.draining = True
        assert next(watch) == b"\x08\x02"  # NOT_SERVING
        watch.cancel()
    assert not live.named("caller_rejected")


def test_grpc_health_of_an_unknown_service_is_not_found(tmp_path):
    with (
        recording(tmp_path) as live,
        grpc.insecure_channel(live.url.removeprefix("grpc://")) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\x01x", timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_host_of_all_addresses_takes_calls_over_ipv4_and_ipv6(tmp_path):
    everywhere = ["call.host=::", "call.behind_proxy=['127.0.0.0/8', '::1/128']"]
    with recording(tmp_path, *everywhere, calls=2) as live:
        port = live.url.rpartition(":")[2]
        assert whole_call(f"grpc://127.0.0.1:{port}", "four") == "OK"
        assert whole_call(f"grpc://[::1]:{port}", "six") == "OK"


@pytest.mark.fault(35)
def test_when_the_process_stops_calls_are_whole_and_get_unavailable(tmp_path):
    with recording(tmp_path) as live:
        phones = [GrpcPhone(live.url, f"call-{n}") for n in range(3)]
        for n, phone in enumerate(phones):
            phone.start()
            phone.talk(n, 1.0)
        until(lambda: sent(live) == [20] * 3)
    assert {phone.answer() for phone in phones} == {"UNAVAILABLE"}
    assert reasons(live) == {"stopping": 3}
    for n in range(3):
        assert np.array_equal(stereo(tmp_path / f"call-{n}.wav"), said(n, 1.0))


@pytest.mark.fault(8)
def test_a_peer_that_vanished_is_found_and_its_audio_kept(tmp_path, monkeypatch):
    from flowcore.tcp_proxy import Proxy
    from tests.support.toxics import freeze

    monkeypatch.setattr(connection, "PING_INTERVAL", 2.0)  # instead of 9 s; a busy peer is late
    with recording(tmp_path, calls=1) as live:
        host, port = live.url.partition("://")[2].split(":")
        with Proxy((host, int(port)), up=[freeze(after=20_000)], down=[freeze(after=20_000)]) as proxy:
            phone = GrpcPhone("", target=":".join(map(str, proxy.address)))
            phone.start()
            phone.talk(7, 3.0)
            until(lambda: reasons(live))
            phone.cancel()
    assert reasons(live) == {"peer_lost": 1}
    heard = stereo(tmp_path / "one.wav")
    assert 0 < len(heard) < 24_000
    whole = len(heard) // 800 * 800 - 1600
    assert np.array_equal(heard[:whole], said(7, 3.0)[:whole])


def files(folder, name, *names, **dates):
    pair = CA.issue_cert(*names, **dates)
    pair.private_key_pem.write_to_path(folder / f"{name}.key")
    (folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
    return folder / f"{name}.pem", folder / f"{name}.key"


def names_of(url):
    """Whom the certificate is for."""
    host, port = url.partition("://")[2].split(":")
    context = ssl.create_default_context(cadata=CA.cert_pem.bytes().decode())
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), 30) as plain, context.wrap_socket(plain) as secure:
        return [name for _, name in secure.getpeercert()["subjectAltName"]]


def test_a_call_over_tls_and_a_certificate_that_is_renewed_meanwhile(tmp_path):
    cert, key = files(tmp_path, "call", "127.0.0.1")
    with recording(tmp_path, f"call.tls.cert={cert}", f"call.tls.key={key}", calls=1) as live:
        assert live.url.startswith("grpcs://")
        phone = GrpcPhone(live.url, trust=CA.cert_pem.bytes())
        phone.start()
        phone.talk(7, 0.5)
        until(lambda: live.engine.flows)
        assert names_of(live.url) == ["127.0.0.1"]
        files(tmp_path, "call", "127.0.0.1", "renewed.example")
        live.reload()
        assert names_of(live.url) == ["127.0.0.1", "renewed.example"]
        key.write_text("no key")
        live.reload()
        until(lambda: live.named("reload_failed"))
        assert names_of(live.url) == ["127.0.0.1", "renewed.example"]
        phone.talk(7, 1.0, since=0.5)
        assert phone.hang_up() == "OK"
    assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, 1.0))


def test_an_expired_certificate_is_named_at_the_start_and_at_every_reload(tmp_path):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    dates = {"not_before": yesterday - timedelta(days=90), "not_after": yesterday}
    cert, key = files(tmp_path, "call", "127.0.0.1", **dates)
    with recording(tmp_path, f"call.tls.cert={cert}", f"call.tls.key={key}") as live:
        live.reload()
    assert [event.data["reason"] for event in live.named("certificate_outdated")] == ["expired"] * 2
    assert [event.data["files"] for event in live.named("files_reloaded")] == [[str(cert), str(key)]]


def test_tls_files_that_are_no_good_are_named_before_anything_starts(tmp_path):
    cert, _ = files(tmp_path, "a", "127.0.0.1")
    _, key = files(tmp_path, "b", "127.0.0.1")
    live = recording(tmp_path, f"call.tls.cert={cert}", f"call.tls.key={key}")
    with pytest.raises(CannotStart, match="is not the key of"):
        live.__enter__()


@pytest.mark.fault(15)
def test_others_are_not_served_in_the_clear():
    with pytest.raises(ValidationError, match="in the clear"):
        RingCXGrpc.Config(host="0.0.0.0")
    assert RingCXGrpc.Config(host="0.0.0.0", behind_proxy=("10.0.0.0/8",)).exposed


@pytest.mark.fault(16)
def test_behind_a_proxy_the_callers_address_is_the_forwarded_one(tmp_path):
    settings = ('call.behind_proxy=["127.0.0.1/32"]', 'call.networks=["192.0.2.0/24"]')
    with recording(tmp_path, *settings, calls=1) as live:
        assert whole_call(live.url, metadata=(("x-forwarded-for", "198.51.100.1"),)) == "PERMISSION_DENIED"
        two = (("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=198.51.100.1"))
        assert whole_call(live.url, metadata=two) == "INVALID_ARGUMENT"
        assert whole_call(live.url, metadata=(("x-forwarded-for", "192.0.2.7"),)) == "OK"


def test_a_port_that_is_taken_is_named(tmp_path):
    with recording(tmp_path) as live:
        port = live.url.rpartition(":")[2]
        for name in ("record", over_grpc(tmp_path, "record")):
            other = Live(name, [f"wav.path={tmp_path}/x.wav", f"call.port={port}"])
            with pytest.raises(CannotStart, match=f"port {port} .* is taken"):
                other.__enter__()


def test_pages_and_calls_of_both_transports_share_a_port(tmp_path):
    graph = tmp_path / "stage.yaml"
    graph.write_text(
        f"flowcore: 1\nimport: [{SPOKEN.name}]\nnodes:\n  call: {{use: ringcx}}\n"
        "  words: {use: spoken, from: call}\n  page: {use: captions, from: words}\n"
    )
    shutil.copy(SPOKEN, tmp_path)
    hello = msgspec.json.encode(Text("agent", 0.0, 1.0, "hello", True, 0))
    with Live(str(graph.with_suffix("")), calls=2) as live:
        page, *_ = live.named("page_opened")
        assert page.data["address"].rpartition(":")[2].partition("/")[0] == live.url.rpartition(":")[2].rstrip("/")
        with urllib.request.urlopen(page.data["address"].partition("?")[0] + "?callId=one") as answer:
            assert b"<title>" in answer.read()
        phone = GrpcPhone(live.url.rstrip("/"))
        phone.start()
        phone.say(phone.sender.media("agent", hello))
        assert phone.hang_up() == "OK"
        other = Phone(live.url, "two")
        other.start()
        other.say(other.sender.media("agent", hello))
        other.stop()
        other.hang_up()
    assert live.engine.totals.nodes["page"].arrived.chunks == 2


def test_checking_a_graph_imports_no_grpc():
    code = "import sys, nodes.sources.ringcx, nodes.sources.ringcx_grpc, nodes.sinks.ringcx_grpc_call\n"
    code += "print({'grpc', 'google.protobuf'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_workers_share_the_port_and_the_calls(tmp_path):
    port = free_port()
    graph = over_grpc(tmp_path, "record") + ".yaml"
    settings = [f"--set=call.port={port}", f"--set=wav.path={tmp_path}/{{call_id}}.wav"]
    flowcore = Path(sys.executable).with_name("flowcore")
    command = [flowcore, "run", graph, "--workers", "2", "--calls", "24", "--log-json", *settings]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log = []
    for line in process.stderr:
        log.append(json.loads(line))
        if [event["event"] for event in log].count("worker_started") == 2:
            break
    calls = 0
    url = f"grpc://127.0.0.1:{port}"
    for number in range(24):
        calls += whole_call(url, f"call{number}", 0.2) == "OK"
    _, rest = process.communicate(timeout=60)
    log += [json.loads(line) for line in rest.splitlines()]
    assert calls == 24
    assert process.returncode == 0
    assert {event["worker"] for event in log if event["event"] == "flow_opened"} == {1, 2}
    for number in range(24):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), said(7, 0.2))
