"""Calls of our own over gRPC, to our own listener: whole, and with words when they fail."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import trustme

from flowcore import Audio, CannotStart, FlowcoreError
from flowcore.testing import SESSION
from nodes.audio import g711
from nodes.sinks.ringcx_grpc_call import RingCXGrpcCall
from tests.support.live import Live, until
from tests.support.phone import stereo
from tests.support.phone_grpc import over_grpc

pytestmark = pytest.mark.slow

CODES = {
    track: np.random.default_rng(n).integers(0, 127, 8000, np.uint8) for n, track in enumerate(("agent", "customer"))
}


def recording(folder, *settings, **options):
    # These calls keep no time, and what a busy machine is late with is no pause in them.
    settings = [f"wav.path={folder}/{{call_id}}.wav", "ordered.hold=collapse", *settings]
    return Live(over_grpc(folder, "record"), settings, **options)


def chunk(track, start, end):
    return Audio(CODES[track][start:end], "mulaw", 8000, track, start)


def call(url, *chunks, **config):
    node = RingCXGrpcCall(RingCXGrpcCall.Config(url=url, call_id="one", **config))
    try:
        node.open(SESSION)
        for one in chunks:
            node.process(one)
        node.flush()
    finally:
        node.close()


def both(*cuts):
    return [chunk(track, *cut) for cut in cuts for track in CODES]


def pieces(start, end, size):
    return [(at, min(at + size, end)) for at in range(start, end, size)]


@pytest.mark.parametrize("size", [160, 800, 777, 1600])
def test_a_call_arrives_whole_whatever_the_chunks(tmp_path, size):
    with recording(tmp_path, calls=1) as live:
        call(live.url, *both(*pieces(0, 8000, size)))
    heard = stereo(tmp_path / "one.wav")
    for column, track in enumerate(CODES):
        assert np.array_equal(heard[:, column], g711.decode(CODES[track]))


def test_a_hole_is_sent_as_silence_of_its_length(tmp_path):
    with recording(tmp_path, calls=1) as live:
        call(live.url, *both(*pieces(0, 800, 160), *pieces(2400, 8000, 160)))
    heard = stereo(tmp_path / "one.wav")
    assert len(heard) == 8000
    assert not heard[800:2400].any()
    assert np.array_equal(heard[2400:, 0], g711.decode(CODES["agent"])[2400:])


def test_over_tls_with_an_authority_of_its_own_and_credentials(tmp_path, monkeypatch):
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("RINGCX_SECRET", "s3cret-enough")
    settings = [
        f"call.tls.cert={tmp_path}/both.pem",
        f"call.tls.key={tmp_path}/both.pem",
        "call.secret=${RINGCX_SECRET}",
    ]
    with recording(tmp_path, *settings, calls=1) as live:
        with pytest.raises(FlowcoreError, match="ended the call with UNAUTHENTICATED"):
            call(live.url, *both((0, 800)), ca=tmp_path / "ca.pem")
        with pytest.raises(CannotStart, match="no call to grpcs://"):
            call(live.url)  # an unknown authority
        call(live.url, *both((0, 800)), ca=tmp_path / "ca.pem", authorization="Bearer s3cret-enough")
    assert len(stereo(tmp_path / "one.wav")) == 800


def test_a_missing_receiver_is_named_at_once_with_a_fix():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(CannotStart, match="start a receiver there"):
        call(f"grpc://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["ws://127.0.0.1:3333/", "127.0.0.1", "grpc://", "grpc://host:port"])
def test_other_addresses_are_refused_with_the_shape_to_write(url):
    with pytest.raises(CannotStart, match=r"write grpc://HOST:PORT"):
        call(url)


def test_an_authority_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CannotStart, match="cannot read"):
        call("grpcs://127.0.0.1:1", ca=tmp_path / "none.pem")


def test_a_receiver_that_ends_the_call_is_quoted(tmp_path):
    with recording(tmp_path, max_calls=1) as live:
        first = RingCXGrpcCall(RingCXGrpcCall.Config(url=live.url, call_id="first"))
        first.open(SESSION)
        first.process(chunk("agent", 0, 800))
        until(lambda: live.engine.flows)
        with pytest.raises(FlowcoreError, match="ended the call with UNAVAILABLE busy"):
            call(live.url, *both((0, 800)))
        first.close()  # which cancels it
        until(lambda: live.engine.totals.reasons)
    assert live.engine.totals.reasons == {"cancelled": 1}
