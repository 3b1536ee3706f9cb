"""The doctor over real gRPC streams: its report on a call, and its recording of that call."""

from __future__ import annotations

import base64
import json
from ipaddress import ip_network
from pathlib import Path

import grpc
import numpy as np
import pytest
import trustme

from nodes.doctor.report import page
from nodes.net.grpc_framing import MAX_MESSAGE
from nodes.net.proxy_trust import ProxyTrust
from nodes.net.rejection import PORT_ADVICE
from nodes.net.tls import Certificate
from tests.support.doctoring import DoctorRig, replay
from tests.support.live import until
from tests.support.phone import said, stereo
from tests.support.phone_grpc import GrpcPhone

SECRET = "s3cr3t-of-the-account"


def test_a_call_as_documented_has_no_remarks(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = GrpcPhone(rig.grpc_url)
        phone.start()
        phone.talk(0, 2.0)
        assert phone.hang_up() == "OK"
        facts = rig.wait()[0]
    assert facts["remarks"] == []
    assert facts["messages"]["opening"] == ["dialog_init", *["segment_start"] * 2, *["segment_media"] * 5]
    assert facts["messages"]["events"] == {"segment_media": 40, "segment_start": 2, "segment_stop": 2, "dialog_init": 1}
    assert facts["sequence"]["counts"] == "messages, per segment"
    assert {name: (party["messages"], party["seconds"]) for name, party in facts["media"].items()} == {
        "1 agent": (20, 2.0),
        "2 contact": (20, 2.0),
    }
    assert [(one["codec"], one["rate"], one["ptime_ms"]) for one in facts["segments"]] == [("PCMU", 8000, 100)] * 2
    assert (facts["end"]["by"], facts["end"]["how"]) == ("peer", "stop")
    assert rig.told == ["a call has begun", "audio flows", "the call has ended"]
    assert "none: this call is as `ringcx` expects it" in page([facts], [])


def test_its_recording_is_the_call(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = GrpcPhone(rig.grpc_url, "the-call")
        phone.start()
        phone.talk(7, 2.0)
        phone.hang_up()
        recording = rig.wait()[0]["recording"]
    wav = replay(recording, tmp_path)
    assert wav.name == "the-call.wav"
    assert np.array_equal(stereo(wav), said(7, 2.0))


@pytest.mark.parametrize("scheme", ["", "Bearer ", "Basic "])
def test_credentials_are_found_and_stay_out_of_everything(tmp_path, scheme):
    encoded = base64.b64encode(f"ringcx:{SECRET}".encode()).decode() if scheme == "Basic " else SECRET
    with DoctorRig(tmp_path, SECRET) as rig:
        phone = GrpcPhone(rig.grpc_url, metadata=(("authorization", scheme + encoded),))
        phone.start()
        phone.hang_up()
        facts = rig.wait()
    assert facts[0]["secret"]["places"] == {"header.authorization": 1}
    (shown,) = [one["value"] for one in facts[0]["request"]["headers"] if one["name"] == "authorization"]
    assert shown == (f"{scheme.strip()} and " if scheme else "") + f"{len(encoded)} characters"
    written = page(facts, []) + json.dumps(facts) + Path(facts[0]["recording"]).read_text() + str(rig.told)
    assert SECRET not in written
    assert encoded not in written


def test_a_secret_in_the_dialog_is_found_and_wrong_credentials_are_told(tmp_path):
    with DoctorRig(tmp_path, SECRET) as rig:
        for attributes in ({"token": SECRET}, {}):
            phone = GrpcPhone(rig.grpc_url, metadata=(("authorization", "wrong-credentials"),), **attributes)
            phone.start()
            phone.hang_up()
        facts = rig.wait(2)
    found, missing = sorted(facts, key=lambda one: not one["secret"]["places"])
    assert list(found["secret"]["places"]) == ["message.dialog_init.dialog.attributes.token"]
    assert "the secret of RINGCX_SECRET was not found" in " ".join(missing["remarks"])
    assert SECRET not in json.dumps(facts) + "".join(Path(one["recording"]).read_text() for one in facts)


def test_all_attributes_are_named_and_no_value_is_shown(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = GrpcPhone(
            rig.grpc_url,
            "20261122090000123",
            ani="4155550100",
            language="en-US",
            Weather="sunshine",
            customer="Ada Lovelace",
        )
        phone.start()
        phone.hang_up()
        facts = rig.wait()
    text = page(facts, [])
    for row in (
        "dialog_init: dialog.attributes.uii       17 digits = call_id",
        "dialog_init: dialog.attributes.Weather   8 characters",
        "dialog_init: dialog.ani                  10 digits = ani",
        "dialog_init: dialog.language             en-US",
        "dialog_init: dialog.type                 INBOUND",
    ):
        assert row in text
    recorded = Path(facts[0]["recording"]).read_text()
    for value in ("sunshine", "Lovelace"):
        assert value not in text + json.dumps(facts) + recorded
    for value in ("20261122", "4155550100"):  # without which a replay would be another call
        assert value not in text + json.dumps(facts)
        assert value in recorded


def test_a_dialog_without_the_uii_has_a_remark():
    with DoctorRig(None) as rig:
        phone = GrpcPhone(rig.grpc_url, "", dialog_id="s-v-1")
        phone.start()
        phone.talk(0, 1.0)
        phone.hang_up()
        facts = rig.wait()[0]
    assert facts["remarks"] == [
        "the dialog has no attribute uii: its own id is the call id, and no page finds the call by its UII"
    ]


def test_a_call_that_is_still_there_is_reported_as_far_as_it_came(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = GrpcPhone(rig.grpc_url)
        phone.start()
        phone.talk(7, 1.0)
        until(lambda: "audio flows" in rig.told)
    assert phone.answer() != "OK"
    (facts,) = rig.server.facts()
    assert (facts["end"]["how"], facts["end"]["by"]) == ("interrupted", "doctor")
    assert "this report covers the beginning of the call" in "".join(facts["remarks"])
    heard = stereo(replay(facts["recording"], tmp_path))
    assert len(heard) >= 800
    assert np.array_equal(heard[:800, 0], said(7, 1.0)[:800, 0])


def test_another_method_is_reported_and_not_counted():
    with DoctorRig(None) as rig:
        channel = grpc.insecure_channel(rig.grpc_url.removeprefix("grpc://"))
        with channel, pytest.raises(grpc.RpcError, match="this port takes"):
            channel.unary_unary("/some.Service/Method")(b"", timeout=30)
        until(lambda: rig.server.other_requests)
    assert rig.server.other_requests == [f"unknown_path from 127.0.0.1: {PORT_ADVICE['unknown_path']}"]
    assert not rig.server.ended


def test_a_stream_without_a_message_is_no_call_and_has_no_recording(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = GrpcPhone(rig.grpc_url)
        phone.say(None)
        assert phone.answer() == "OK"
        until(lambda: rig.server.other_requests)
    assert rig.server.other_requests == ["a connection from 127.0.0.1 that ended without a message"]
    assert not rig.server.ended
    assert not list(tmp_path.iterdir())


def test_behind_a_proxy_the_callers_address_is_the_forwarded_one():
    with DoctorRig(None, proxy_trust=ProxyTrust(None, [ip_network("127.0.0.1/32")])) as rig:
        phone = GrpcPhone(rig.grpc_url, metadata=(("x-forwarded-for", "192.0.2.7"),))
        phone.start()
        phone.hang_up()
        facts = rig.wait()[0]
        confused = GrpcPhone(rig.grpc_url, metadata=(("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.8")))
        assert confused.answer() == "INVALID_ARGUMENT"
    assert facts["request"]["from"] == "192.0.2.7"
    assert ["proxy_contradicts_itself" in one for one in rig.server.other_requests] == [True]


def test_a_call_over_tls(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    certificate = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem", http2=True)
    with DoctorRig(None, proxy_trust=ProxyTrust(certificate)) as rig:
        phone = GrpcPhone(rig.grpc_url, trust=authority.cert_pem.bytes())
        phone.start()
        phone.talk(0, 1.0)
        assert phone.hang_up() == "OK"
        assert rig.wait()[0]["media"]["1 agent"]["seconds"] == 1.0


def test_a_message_longer_than_the_port_takes_ends_its_stream_with_a_report(tmp_path):
    with DoctorRig(tmp_path) as rig:
        phone = GrpcPhone(rig.grpc_url)
        phone.start()
        phone.say(phone.sender.media("agent", bytes(MAX_MESSAGE)))
        assert phone.answer() == "RESOURCE_EXHAUSTED"
        (facts,) = rig.wait()
    assert facts["messages"]["events"]["dialog_init"] == 1
    assert facts["end"]["how"] == "peer_broke_protocol"
