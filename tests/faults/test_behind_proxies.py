"""Calls through real proxies with the configurations of docs/ringcx-setup.md: one public port for both transports."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from urllib.request import urlopen

import numpy as np
import pytest
import yaml

from flowcore import Duration
from nodes.ringcx.dialog_sender import SERVICE
from nodes.ringcx.listener_config import ListenerConfig
from tests.support.live import Live, until
from tests.support.phone import Phone, knock, said, stereo
from tests.support.phone_grpc import GrpcPhone
from tests.support.proxies import PROXIES, configuration, documented, program, running
from tools.load import frame

pytestmark = pytest.mark.slow

IDLE = ListenerConfig.model_fields["idle"].default
"""The longest silence that the listener itself allows."""


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.fault(66)
def test_calls_of_both_transports_with_a_hold_and_pages_come_through_one_port(kind, tmp_path):
    settings = [f"wav.path={tmp_path}/{{call_id}}.wav", "call.max_speed=1000", "call.behind_proxy=[127.0.0.1]"]
    settings += ["wav.queue.max=10min"]  # a call at this speed overtakes the disk
    with Live("record", settings, calls=2) as live, running(kind, tmp_path, upstream=live.upstream) as proxy:
        trust = ssl.create_default_context(cadata=proxy.authority.decode())
        with urlopen(f"https://localhost:{proxy.port}/healthz", context=trust) as answer:
            assert answer.status == 200
        caller = Phone(f"wss://localhost:{proxy.port}/", "websocket", tls=trust)
        caller.start()
        caller.talk(7, 1.0)
        caller.socket.sendall(frame(b"hold", opcode=9))
        assert caller.socket.recv(4096) == b"\x8a\x04hold"  # a ping reaches the listener, and its pong the caller
        phone = GrpcPhone("", "grpc", trust=proxy.authority, target=f"localhost:{proxy.port}")
        phone.start()
        phone.talk(7, 1.0)
        phone.say(phone.sender.info("customer", "hold"))
        until(lambda: live.named("segment_reported"))
        phone.talk(7, 120.0, since=1.0)  # more than the usual maximum of a request
        assert phone.hang_up() == "OK"
        caller.talk(7, 1.0)
        caller.stop()
        caller.hang_up()
    assert np.array_equal(stereo(tmp_path / "grpc.wav"), said(7, 120.0))
    assert len(stereo(tmp_path / "websocket.wav")) == 2 * 8000


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.fault(66)
def test_the_address_of_the_caller_is_the_proxys_word(kind, tmp_path):
    settings = [f"wav.path={tmp_path}/x.wav", "call.behind_proxy=[127.0.0.1]", "call.networks=[192.0.2.0/24]"]
    with Live("record", settings) as live, running(kind, tmp_path, upstream=live.upstream) as proxy:
        forged = (("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.1"))
        phone = GrpcPhone("", metadata=forged, trust=proxy.authority, target=f"localhost:{proxy.port}")
        assert phone.answer() in ("PERMISSION_DENIED", "CANCELLED")  # which HAProxy makes of it
        trust = ssl.create_default_context(cadata=proxy.authority.decode())
        headers = "".join(f"{name}: {value}\r\n" for name, value in forged)
        connection, answer = knock(f"wss://localhost:{proxy.port}/", headers=headers, tls=trust)
        connection.close()
        assert answer.startswith(b"HTTP/1.1 403 ")
    assert {event.data["address"] for event in live.named("caller_rejected")} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("kind", "timeouts"),
    [
        ("nginx", {f"{of}_timeout" for of in ("client_body", "grpc_read", "grpc_send", "proxy_read", "proxy_send")}),
        ("haproxy", {"timeout client", "timeout server", "timeout tunnel"}),
    ],
)
@pytest.mark.fault(66)
def test_no_timeout_of_a_proxy_is_below_the_longest_silence_of_a_call(kind, timeouts):
    found = dict(re.findall(r"^ +((?:timeout )?\S+) +(\d+[smh])\b", documented(kind), re.MULTILINE))
    assert {name: float(Duration(found[name])) >= IDLE for name in timeouts} == dict.fromkeys(timeouts, True)
    assert found.keys() - timeouts <= {"timeout connect", "timeout http-request"}  # over when the call has begun


@pytest.mark.fault(66)
def test_caddy_has_no_timeout_that_a_call_on_hold_could_reach(tmp_path):
    (tmp_path / "Caddyfile").write_text(configuration("caddy", tmp_path, 8443, "127.0.0.1:1"))
    command = [program("caddy"), "adapt", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    adapted = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert json.loads(adapted)["apps"]["http"]["servers"]
    assert 'timeout":' not in adapted


def test_the_configuration_of_ngrok_leads_to_the_port_in_both_protocols():
    """It is not run: ngrok needs an account."""
    endpoints = yaml.safe_load(documented("yaml ngrok.yml"))["endpoints"]
    assert [one["upstream"] for one in endpoints] == [
        {"url": "http://127.0.0.1:3333"},
        {"url": "http://127.0.0.1:3333", "protocol": "http2"},
    ]
    (rule,) = endpoints[0]["traffic_policy"]["on_http_request"]
    assert f"startsWith('/{SERVICE}/')" in rule["expressions"][0]
    assert rule["actions"][0]["config"]["url"] == endpoints[1]["url"]


@pytest.mark.parametrize("kind", PROXIES)
def test_all_proxies_route_by_the_path_of_the_service(kind):
    assert f"/{SERVICE}/" in documented(kind)
