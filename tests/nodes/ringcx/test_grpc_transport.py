"""Faults of the connection need a proxy; what a call without them learns and proves holds through it too."""

import socket

import pytest
import trustme

from flowcore import CannotStart
from flowcore.testing import NodeHarness
from nodes.sinks.ringcx_grpc_call import RingCXGrpcCall
from tests.support.live import Live
from tests.support.phone_grpc import over_grpc


def test_a_missing_receiver_is_reported_through_the_proxy_too():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(CannotStart, match="start a receiver there"):
        NodeHarness(RingCXGrpcCall, {"url": f"grpc://127.0.0.1:{port}", "chaos": "seed=1,slow"})


def test_tls_goes_through_the_proxy_with_the_receivers_name(tmp_path):
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
