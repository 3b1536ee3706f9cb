"""``flowcore run --public-url`` and ``--tunnel``: what can be wrong is said before anything runs."""

from __future__ import annotations

import sys

import pytest

from flowcore.cli.tunnel import tunnel_settings
from flowcore.graph.load import load
from flowcore.graph.negotiate import compile_graph
from tests.support.live import Live
from tests.support.phone import knock

GRAPH = """
flowcore: 1
nodes:
  call: {use: ringcx, with: {port: %d}}
  ordered: {use: reorder, from: call}
  voices: {use: decode_mulaw, from: ordered}
  wav: {use: wav_file, from: voices}
"""
FILE = """
flowcore: 1
nodes:
  voices: {use: wav_source, with: {path: a.wav}}
  wav: {use: wav_file, from: voices}
"""


@pytest.fixture
def graph(tmp_path, monkeypatch):
    monkeypatch.delenv("NGROK_AUTHTOKEN", raising=False)

    def write(text=GRAPH % 3333):
        path = tmp_path / "graph.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "url", ["x.example", "wss://x.example", "https://", "https://x.example/calls", "https://x.example/?a=b"]
)
def test_an_address_that_a_proxy_cannot_have_is_refused(flowcore, graph, url):
    run = flowcore("run", graph(), "--public-url", url)
    assert run.code == 2
    assert f"{url} is not the address of a proxy: write it like https://" in run.err


def test_a_tunnel_needs_a_token(flowcore, graph):
    run = flowcore("run", graph(), "--tunnel", "ngrok")
    assert run.code == 2
    assert "NGROK_AUTHTOKEN" in run.err
    assert "https://dashboard.ngrok.com/get-started/your-authtoken" in run.err


def test_a_tunnel_needs_its_package(flowcore, graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "ngrok", None)  # as if it was not installed
    run = flowcore("run", graph(), "--tunnel", "ngrok")
    assert run.code == 2
    assert "--tunnel ngrok needs ngrok: run  pip install 'flowcore[tunnel]'" in run.err


@pytest.mark.parametrize(
    ("text", "says"), [(GRAPH % 0, "give call a port other than 0"), (FILE, "voices (wav_source) listens on no port")]
)
def test_a_tunnel_needs_a_port_to_lead_to(flowcore, graph, text, says):
    run = flowcore("run", graph(text), "--tunnel", "ngrok")
    assert run.code == 2
    assert says in run.err


def test_a_tunnel_that_ngrok_refuses_is_told_without_the_token(flowcore, graph, monkeypatch):
    monkeypatch.setenv("NGROK_AUTHTOKEN", "no-such-token")
    run = flowcore("run", graph(), "--tunnel", "ngrok")  # no network, or a token that ngrok does not know
    assert run.code == 1
    assert "no tunnel through ngrok: failed to connect session" in run.err
    assert "no-such-token" not in run.err


def test_a_listener_behind_a_tunnel_knows_who_calls_whatever_the_caller_writes(graph):
    path = graph(GRAPH.replace("%d", "0, networks: [192.0.2.0/24, 127.0.0.0/8]"))
    settings = tunnel_settings(compile_graph(load(path)))
    with Live(str(path.with_suffix("")), settings) as live:
        for forwarded, status in (("127.0.0.1, 6.6.6.6", b" 403 "), ("6.6.6.6, 192.0.2.1", b" 101 ")):
            connection, answer = knock(live.url, headers=f"X-Forwarded-For: {forwarded}\r\n")
            connection.close()
            assert status in answer


def test_what_the_graph_says_of_its_proxies_stays(graph):
    path = graph(GRAPH.replace("%d", "3333, behind_proxy: [10.0.0.0/8]"))
    assert tunnel_settings(compile_graph(load(path))) == []
