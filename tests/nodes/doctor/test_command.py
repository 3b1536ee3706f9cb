"""The doctor over real sockets: its report on a call, and its recording of that call."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import numpy as np
import pytest
import trustme
from websockets.sync.client import connect

from flowcore.cli import main
from nodes.doctor.remarks import remarks
from nodes.doctor.report import page
from nodes.net.proxy_trust import ProxyTrust
from nodes.net.tls import Certificate
from nodes.ringcx.call_sender import CallSender
from tests.support.conversation import conversation
from tests.support.doctoring import DoctorRig, replay
from tests.support.live import until
from tests.support.phone import Phone, said, stereo
from tests.support.phone_grpc import GrpcPhone
from tests.support.ports import free_port

SECRET = "s3cr3t-of-the-profile"
ROOT = Path(__file__).parents[3]
FLOWCORE = (sys.executable, "-c", "from flowcore.cli import main; main()")


def test_call_as_documented_has_no_remarks(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = Phone(rig.url)
        phone.start()
        phone.talk(0, 2.0)
        phone.stop()
        phone.hang_up()
        facts = rig.wait()[0]
    assert facts["remarks"] == []
    assert facts["messages"]["opening"][:3] == ["Connected", "Start", "Media"]
    assert facts["messages"]["events"] == {"Media": 200, "Stop": 2, "Connected": 1, "Start": 1}
    assert facts["sequence"]["counts"] == "per perspective"
    assert facts["sequence"]["written_as"] == "text"
    assert facts["media"]["Participant"]["bytes_per_message"] == {"160": 100}
    assert facts["media"]["Participant"]["seconds"] == 2.0
    assert (facts["end"]["by"], facts["end"]["code"]) == ("peer", 1000)
    assert facts["format"] == {"encoding": "audio/x-mulaw", "rate": "8000"}
    assert rig.told == ["a call has begun", "audio flows", "the call has ended"]
    assert "none: this call is as `ringcx` expects it" in page([facts], [])


def test_its_recording_is_the_call(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = Phone(rig.url, "the-call")
        phone.start()
        phone.talk(7, 2.0)
        phone.stop()
        phone.hang_up()
        recording = rig.wait()[0]["recording"]
    wav = replay(recording, tmp_path)
    assert wav.name == "the-call.wav"
    assert np.array_equal(stereo(wav), said(7, 2.0))


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("header", "header.X-Profile-Secret"),
        ("bearer", "header.Authorization"),
        ("basic", "header.Authorization"),
        ("query", "query.secret"),
        ("start", "Start.metadata.secret"),
        ("connected", "Connected.hello.key"),
    ],
)
def test_secret_is_found_wherever_it_is_and_stays_out_of_everything(tmp_path, where, place):
    headers = {
        "header": {"X-Profile-Secret": SECRET},
        "bearer": {"Authorization": f"Bearer {SECRET}"},
        "basic": {"Authorization": "Basic " + base64.b64encode(f"ringcx:{SECRET}".encode()).decode()},
    }.get(where, {})
    query = f"?callId=1&secret={SECRET}" if where == "query" else ""
    with DoctorRig(tmp_path, SECRET) as rig:
        with connect(f"{rig.url}/{query}", additional_headers=headers) as line:
            for data in conversation(CallSender({"call_id": "1"})):
                message = json.loads(data)
                if where == "start" and message["event"] == "Start":
                    message["metadata"]["secret"] = SECRET
                if where == "connected" and message["event"] == "Connected":
                    message["hello"] = {"key": SECRET}
                line.send(json.dumps(message))
        facts = rig.wait()
    assert list(facts[0]["secret"]["places"]) == [place]
    assert not any("secret" in remark for remark in facts[0]["remarks"])
    written = page(facts, []) + json.dumps(facts) + Path(facts[0]["recording"]).read_text() + str(rig.told)
    encoded = base64.b64encode(f"ringcx:{SECRET}".encode()).decode()
    assert SECRET not in written
    assert encoded not in written


def test_a_missing_secret_and_fields_that_may_hold_one_are_reported(tmp_path):
    with DoctorRig(None, SECRET) as rig:
        with connect(rig.url + "/?token=abc", additional_headers={"X-Secret-Thing": "1"}) as line:
            line.send('{"event":"Start","metadata":{"callId":"1","profileSecret":"hidden-value"}}')
        facts = rig.wait()
    assert facts[0]["secret"] == {
        "known": True,
        "places": {},
        "fields_named_so": ["header.X-Secret-Thing", "query.token", "Start.metadata.profileSecret"],
    }
    assert "the secret of RINGCX_SECRET was not found" in " ".join(facts[0]["remarks"])
    assert "hidden-value" not in page(facts, [])


def test_names_are_shown_and_values_are_not(tmp_path):
    query = "?Call-Id=20261122-0001&ANI=4155550100&weather=sunshine"
    with DoctorRig(tmp_path) as rig:
        with connect(rig.url + "/" + query, additional_headers={"X-Agent": "Ada Lovelace"}) as line:
            for data in conversation(CallSender({"call_id": "20261122-0001", "ani": "4155550100"})):
                line.send(data.decode())
        facts = rig.wait()
    text = page(facts, [])
    for words in ("? Call-Id", "13 characters = call_id", "10 digits = ani", "8 characters (not known)", "X-Agent:"):
        assert words in text
    for value in ("20261122", "4155550100", "sunshine", "Lovelace"):
        assert value not in text + json.dumps(facts)


def test_every_connection_is_accepted_and_every_oddity_is_reported():
    with DoctorRig(None) as rig:
        with connect(rig.url + "/somewhere", subprotocols=["audio"]) as line:
            line.send("hello")
            line.send(b"\x00\x01")
            line.send('{"event":"Weather","sun":true}')
            line.send('{"event":"Start","metadata":{"contentType":"audio/l16","sampleRateHertz":16000}}')
            for n in range(20):
                data = base64.b64encode(bytes(320)).decode()
                line.send(
                    json.dumps({"event": "Media", "perspective": "Participant", "sequenceId": n * 7, "media": data})
                )
            line.send('{"event":"Stop","metadata":{"duration":99999}}')
            line.ping()
            line.close(4000, "done")
        facts = rig.wait()[0]
    assert remarks(facts) == facts["remarks"]
    said = "\n".join(facts["remarks"])
    for words in (
        "unknown event weather",
        "2 messages do not follow the protocol (not_json)",
        "audio/l16 at 16000 Hz",
        "no audio of the customer (Conference) came",
        "sequence ids count in a way",
        "unit of Stop's duration is unclear",
    ):
        assert words in said
    assert facts["end"]["code"] == 4000
    assert facts["end"]["pings"] == 1
    assert facts["end"]["unusual_frames"] == {"binary": 1}
    assert facts["sequence"]["written_as"] == "number"


def test_numbers_shared_by_both_parties_and_the_dialect_of_2021_are_recognised():
    sender = CallSender({"call_id": "1", "session_id": "2"}, "upper")
    with DoctorRig(None) as rig:
        with connect(rig.url) as line:
            for data in conversation(sender, 2.0, shared=True):
                line.send(data.decode())
        facts = rig.wait()[0]
    assert facts["sequence"]["counts"] == "shared"
    assert facts["messages"]["opening"][:3] == ["CONNECTED", "START", "MEDIA"]
    assert facts["stop"] == {"count": 2, "durations": [2.0, 2.0], "unit": "seconds"}
    assert facts["remarks"] == []


def test_other_requests_are_reported_and_not_counted():
    with DoctorRig(None) as rig:
        address = urlsplit(rig.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as browser:
            browser.sendall(b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n")
            assert browser.recv(4096).startswith(b"HTTP/1.1 ")
        until(lambda: rig.server.other_requests)
    assert rig.server.other_requests == ["GET /favicon.ico from 127.0.0.1, which is not a WebSocket request"]
    assert not rig.server.ended


def test_a_connection_without_a_message_is_no_call_and_has_no_recording(tmp_path):
    with DoctorRig(tmp_path) as rig:
        Phone(rig.url).hang_up()
        until(lambda: rig.server.other_requests)
    assert rig.server.other_requests == ["a connection from 127.0.0.1 that ended without a message"]
    assert not rig.server.ended
    assert not list(tmp_path.iterdir())


def test_transfer_of_a_call_is_two_reports_and_two_recordings(tmp_path):
    with DoctorRig(tmp_path) as rig:
        for _ in range(2):
            phone = Phone(rig.url)
            phone.start()
            phone.talk(0, 0.4)
            phone.stop()
            phone.hang_up()
        facts = rig.wait(2)
    assert [Path(one["recording"]).name for one in facts] == ["call.jsonl", "call-2.jsonl"]
    assert "Call 2" in page(facts, [])


def test_connection_that_is_lost_and_one_that_is_still_there_are_reported(tmp_path):
    with DoctorRig(tmp_path) as rig:
        lost = Phone(rig.url)
        lost.start()
        lost.socket.close()
        rig.wait()
        there = Phone(rig.url)
        there.start()
        there.talk(0, 1.0)
        until(lambda: "audio flows" in rig.told)
    facts = rig.server.facts()
    assert facts[0]["end"]["how"] == "peer_lost"
    assert "the connection was lost, not closed" in facts[0]["remarks"]
    assert facts[1]["media"]["Participant"]["messages"] > 0
    assert (facts[1]["end"]["how"], facts[1]["end"]["by"]) == ("interrupted", "doctor")
    assert (
        "the doctor was stopped before the call ended: this report covers the beginning of the call"
        in facts[1]["remarks"]
    )
    assert Path(facts[1]["recording"]).is_file()


def test_recording_that_cannot_be_made_leaves_the_report(tmp_path):
    (tmp_path / "call.jsonl").mkdir()
    (tmp_path / "folder").write_text("a file")
    with DoctorRig(tmp_path / "folder") as rig:
        phone = Phone(rig.url)
        phone.start()
        phone.hang_up()
        facts = rig.wait()
    assert facts[0]["recording"] is None
    assert any("nothing is recorded" in told for told in rig.told)


@pytest.mark.parametrize("options", [["--save", ""], ["--save", "", "--json"]], ids=["page", "json"])
def test_the_command_prints_the_report_of_one_call(options, capsys, monkeypatch):
    monkeypatch.setattr("nodes.doctor.command.signal.signal", lambda number, handler: None)
    port = free_port()

    def call():
        for _ in range(1000):
            try:
                phone = Phone(f"ws://127.0.0.1:{port}/")
            except ConnectionRefusedError:
                Event().wait(0.02)  # until the doctor listens
            else:
                phone.start()
                return phone.hang_up()

    caller = Thread(target=call)
    caller.start()
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--port", str(port), *options])
    caller.join(60)
    output = capsys.readouterr()
    assert ended.value.code == 0
    assert f"waiting for a call at ws://127.0.0.1:{port}/" in output.err
    if "--json" in options:
        assert [call["messages"]["opening"] for call in json.loads(output.out)["calls"]] == [["Connected", "Start"]]
    else:
        assert output.out.startswith("Call 1\n")


def test_the_command_reports_a_call_over_grpc(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nodes.doctor.command.signal.signal", lambda number, handler: None)
    port = free_port()

    def call():
        phone = GrpcPhone("", target=f"127.0.0.1:{port}", wait=True)
        phone.start()
        phone.hang_up()

    caller = Thread(target=call)
    caller.start()
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--port", str(port), "--save", str(tmp_path / "call.jsonl")])
    caller.join(60)
    output = capsys.readouterr()
    assert ended.value.code == 0
    assert f"waiting for a call at ws://127.0.0.1:{port}/ or grpc://127.0.0.1:{port}  (Ctrl-C to end)" in output.err
    assert "dialog_init, segment_start, segment_start" in output.out
    assert (tmp_path / "call.jsonl").exists()


def test_ctrl_c_before_any_call_says_so(capsys, monkeypatch):
    def interrupted(self, done):
        raise KeyboardInterrupt

    monkeypatch.setattr("nodes.doctor.command.signal.signal", lambda number, handler: None)
    monkeypatch.setattr("nodes.doctor.command.DoctorServer.serve", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--port", "0", "--save", ""])
    assert ended.value.code == 1
    assert capsys.readouterr().out == "no call came\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "would cross the network in the clear: give --cert and --key, or --behind-proxy"),
        (["--cert", "a.pem"], "give both, or neither"),
        (["--behind-proxy", "nowhere"], "nowhere is no network: write 10.0.0.0/8"),
        (["--save", "/dev"], "/dev is a directory: name a file in it"),
        (["--save", "/dev/null/call.jsonl"], "cannot write to /dev/null: Not a directory"),
    ],
)
def test_wrong_command_line_is_one_clear_line(arguments, says, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_host_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--host", "192.0.2.1", "--behind-proxy", "192.0.2.0/24"])
    assert ended.value.code == 1
    assert "cannot listen at 192.0.2.1:3333: Cannot assign requested address" in capsys.readouterr().err


def test_port_that_is_taken_is_named(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        main(["doctor", "--port", str(taken.getsockname()[1])])
    assert ended.value.code == 1
    assert "Address already in use; give another with --port" in capsys.readouterr().err


def test_an_expired_certificate_is_named_before_a_call_is_awaited(tmp_path, capsys):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    issued = trustme.CA().issue_cert("localhost", not_before=yesterday - timedelta(days=90), not_after=yesterday)
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = ["--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")]
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        main(["doctor", "--port", str(taken.getsockname()[1]), *files])
    assert re.search(r"cert\.pem: certificate 1 of 1 expired at .* RingCX will hang up", capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_a_simulated_call_from_one_terminal_to_the_other(tmp_path, as_json):
    if as_json:
        call = json.loads(examined(tmp_path, "--json"))["calls"][0]
        assert (call["media"]["Conference"]["seconds"], call["recording"]) == (2.0, "ringcx-call.jsonl")
        return
    shown = re.search(r"```text\n(Call 1.*?)```", (ROOT / "docs" / "first-live-call.md").read_text(), re.DOTALL)[1]
    wanted = [".+".join(map(re.escape, line.split("…"))) for line in shown.splitlines()]
    for attempt in "123":  # a machine that stands still for a second makes a pause, or no pong: that is told as well
        lines = examined(tmp_path / attempt).splitlines()
        if len(lines) == len(wanted) and all(map(re.fullmatch, wanted, lines)):
            break
    assert not [line for line, pattern in zip(lines, wanted, strict=True) if not re.fullmatch(pattern, line)]


def examined(folder, *options):
    """Return the report on a call of two seconds."""
    folder.mkdir(exist_ok=True)
    flags = {"cwd": folder, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    doctor = subprocess.Popen([*FLOWCORE, "doctor", "--port", "0", *options], **flags)
    url = next(word for word in doctor.stderr.readline().split() if word.startswith("ws://"))
    sound = ["synth", "2", "sine", "300"]
    for party in ("agent.wav", "caller.wav"):
        subprocess.run(["sox", "-n", "-r", "8000", "-c", "1", party, *sound], cwd=folder, check=True)
    voices = ["--agent", "agent.wav", "--caller", "caller.wav"]
    subprocess.run([*FLOWCORE, "simulate", *voices, url], cwd=folder, check=True, timeout=60, capture_output=True)
    out, _ = doctor.communicate(timeout=60)
    assert doctor.returncode == 0
    assert (folder / "ringcx-call.jsonl").is_file()
    return out


def test_call_over_tls_right_to_its_port(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for pem in issued.cert_chain_pems:
        pem.write_to_path(tmp_path / "chain.pem", append=True)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    certificate = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    with DoctorRig(tmp_path, proxy_trust=ProxyTrust(certificate)) as rig:
        port = urlsplit(rig.url).port
        with connect(
            f"wss://localhost:{port}", ssl=trusting, sock=socket.create_connection(("127.0.0.1", port))
        ) as line:
            for data in conversation(CallSender({"call_id": "1"}), 1.0):
                line.send(data.decode())
        facts = rig.wait()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"TLS only" in plain.recv(4096)
        until(lambda: rig.server.other_requests)
    assert facts[0]["media"]["Participant"]["seconds"] == 1.0
    (told,) = rig.server.other_requests
    assert told == "bad_tls from 127.0.0.1: the peer does not speak TLS: use wss:// or https://"
