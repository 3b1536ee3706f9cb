"""``flowcore setup``, as its users call it, against real receivers, certificates and proxies."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from flowcore.cli import main
from tests.support.live import ROOT, Live
from tests.support.ports import free_port
from tests.support.proxies import PROXIES, Proxy, running
from tests.support.watching import stage

SECRET = "s3cr3t-of-the-account"
VIEWERS = "secret-of-the-viewers"


@pytest.fixture
def setup(capsys, monkeypatch):
    monkeypatch.setenv("RINGCX_SECRET", SECRET)
    monkeypatch.setenv("VIEWER_KEY", VIEWERS)

    def run(*arguments: object):
        with pytest.raises(SystemExit) as ended:
            main(["setup", *map(str, arguments)])
        printed = capsys.readouterr()
        assert SECRET not in printed.out + printed.err
        assert VIEWERS not in printed.out + printed.err
        return ended.value.code, printed.out, printed.err

    return run


@pytest.fixture
def graph(tmp_path):
    """A graph of the project, with a secret."""

    def write(name: str = "record", secret: bool = True) -> Path:
        text = (ROOT / "graphs" / f"{name}.yaml").read_text()
        secret_field = ', secret: "${RINGCX_SECRET}"' if secret else ""
        own = f"{{use: ringcx, with: {{port: 3333{secret_field}}}}}"
        assert "{use: ringcx, with: {port: 3333}}" in text
        path = tmp_path / "graph.yaml"
        path.write_text(text.replace("{use: ringcx, with: {port: 3333}}", own))
        return path

    return write


def issued(folder: Path, *names: str, **validity: datetime) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context with a certificate for these names, and the file of its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **validity).configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return context, folder / "ca.pem"


def through(proxy: Proxy, folder: Path) -> tuple[object, ...]:
    """The options for the address of a proxy, whose authority is to be trusted."""
    (folder / "ca.pem").write_bytes(proxy.authority)
    return "--host", f"localhost:{proxy.port}", "--ca", folder / "ca.pem"


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext | None):
    """A server that ends each connection after the handshake; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                connection = listening.accept()[0]
                with contextlib.suppress(OSError), connection:
                    if context is not None:
                        context.wrap_socket(connection, server_side=True).close()
                    else:
                        connection.recv(100)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            socket.create_connection(listening.getsockname()).close()
            thread.join(30)


def test_it_says_what_to_enter_for_websocket(setup, graph):
    code, out, _ = setup(graph(), "--host", "calls.example.com", "--transport", "websocket", "--no-check")
    assert code == 0
    assert "gRPC" not in out
    assert "flowcore profile create --type queue --id ID --url wss://calls.example.com\n" in out
    assert "export RINGCX_SECRET=…   # the value of call.secret in the graph" in out
    assert "Agent segment recording" in out
    assert "Checks" not in out


def test_it_says_what_to_enter_for_grpc(setup, graph):
    code, out, _ = setup(graph(), "--host", "calls.example.com", "--transport", "grpc", "--no-check")
    assert code == 0
    assert "URL                   grpc://calls.example.com:443\n" in out
    assert "Segment Streaming     unchecked" in out
    assert "External Credentials  a new API key or token" in out
    assert "Stop Stream node with the same Stream ID" in out


def test_the_page_of_the_docs_shows_what_is_printed(setup, graph):
    page = (ROOT / "docs" / "ringcx-setup.md").read_text()
    (shown,) = re.findall(r"^```console\n\$ [^\n]*setup[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert (
        setup(graph(), "--host", "calls.example.com", "--transport", "grpc", "--no-check")[1].rstrip() == shown.rstrip()
    )


def test_it_gives_the_address_of_pages_for_the_agent_script(setup, graph):
    path = graph("transcribe")
    code, out, _ = setup(path, "--host", "calls.example.com:8443", "--no-check")
    assert code == 0
    assert "--url wss://calls.example.com:8443\n" in out
    assert "    https://calls.example.com:8443/client?callId={{model.call.uii}}&key=…\n" in out


def test_a_graph_without_a_secret_is_told(setup, graph):
    _, out, _ = setup(graph(secret=False), "--host", "calls.example.com", "--no-check")
    assert "! The graph has no secret: anyone who finds the address may call" in out
    assert "RINGCX_SECRET=" not in out


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("calls.example.com/media", "no path is allowed"),
        ("calls.example.com:x", "write HOST or HOST:PORT"),
        ("[::1]", "write HOST or HOST:PORT"),
        ("", "the host name is missing"),
    ],
)
def test_an_address_that_ringcx_would_refuse_is_refused(setup, graph, host, says, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, _, err = setup(graph(), "--host", host)
    assert code == 2
    assert says in err


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_authority_that_cannot_be_read_is_named(setup, graph, tmp_path, content):
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    code, _, err = setup(graph(), "--host", "calls.example.com", "--ca", tmp_path / "ca.pem")
    assert code == 2
    assert "ca.pem is no certificate in PEM format" in err


def test_a_graph_that_receives_no_calls_is_refused(setup):
    code, _, err = setup(ROOT / "graphs" / "simulate.yaml", "--host", "calls.example.com", "--set", "call.url=ws://x/")
    assert code == 2
    assert "receives no calls of RingCX: use ringcx" in err


@pytest.mark.fault(74)
def test_a_name_without_an_address_is_named(setup, graph):
    code, out, _ = setup(graph(), "--host", "calls.example.invalid")
    assert code == 1
    assert "calls.example.invalid has no address: create an A record" in out


@pytest.mark.fault(74)
def test_a_closed_port_is_named(setup, graph):
    port = free_port()
    code, out, _ = setup(graph(), "--host", f"127.0.0.1:{port}")
    assert code == 1
    assert "127.0.0.1, which RingCX cannot reach from the internet" in out
    assert f"port {port} of 127.0.0.1 is closed (Connection refused)" in out


@pytest.mark.fault(74)
def test_an_expired_certificate_is_named(setup, graph, tmp_path):
    now = datetime.now(UTC)
    validity = {"not_before": now - timedelta(30), "not_after": now - timedelta(1)}
    context, ca = issued(tmp_path, "127.0.0.1", **validity)
    with tls_server(context) as port:
        code, out, _ = setup(graph(), "--host", f"127.0.0.1:{port}", "--ca", ca)
    assert code == 1
    assert "the certificate has expired: renew it" in out


@pytest.mark.fault(74)
def test_a_certificate_for_another_host_is_named(setup, graph, tmp_path):
    context, ca = issued(tmp_path, "other.example.com")
    for host in ("127.0.0.1", "localhost"):
        with tls_server(context) as port:
            code, out, _ = setup(graph(), "--host", f"{host}:{port}", "--ca", ca)
        assert code == 1
        assert f"the certificate is not for {host}: get one with this name" in out


def test_of_two_private_addresses_one_has_to_answer(setup, graph, monkeypatch):
    """Many machines give ``localhost`` an IPv6 address on which nothing listens."""
    ask = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: ask("127.0.0.2", *rest, **options) + ask(host, *rest, **options),
    )
    with tls_server(None) as port:
        _, out, _ = setup(graph(), "--host", f"127.0.0.1:{port}")
    assert f"port         {port} answers" in out


@pytest.mark.fault(74)
def test_a_certificate_of_no_public_authority_is_named(setup, graph, tmp_path):
    context, _ = issued(tmp_path, "127.0.0.1")
    with tls_server(context) as port:
        code, out, _ = setup(graph(), "--host", f"127.0.0.1:{port}")
    assert code == 1
    assert "is not of a public authority" in out


@pytest.mark.fault(74)
def test_a_self_signed_certificate_is_named(setup, graph, tmp_path):
    authority = trustme.CA()
    (tmp_path / "self.pem").write_bytes(authority.cert_pem.bytes() + authority.private_key_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "self.pem")
    with tls_server(context) as port:
        code, out, _ = setup(graph(), "--host", f"127.0.0.1:{port}")
    assert code == 1
    assert "is self-signed: RingCX wants one of a public authority" in out


@pytest.mark.fault(74)
def test_a_port_without_tls_and_one_without_http2_are_named(setup, graph, tmp_path):
    with tls_server(None) as port:
        code, out, _ = setup(graph(), "--host", f"127.0.0.1:{port}")
    assert code == 1
    assert f"no TLS at port {port}" in out
    context, ca = issued(tmp_path, "127.0.0.1")
    with tls_server(context) as port:
        code, out, _ = setup(graph(), "--transport", "grpc", "--host", f"127.0.0.1:{port}", "--ca", ca)
    assert code == 1
    assert "the port takes no HTTP/2, which gRPC needs" in out


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["websocket", "grpc"])
@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.fault(74)
def test_a_proxy_that_reaches_no_flowcore_is_named(setup, graph, tmp_path, kind, transport):
    nowhere = f"127.0.0.1:{free_port()}"
    with running(kind, tmp_path, upstream=nowhere) as proxy:
        code, out, _ = setup(graph(), *through(proxy, tmp_path), "--transport", transport)
    assert code == 1
    assert "the proxy reaches no flowcore: run the graph, and compare the proxy's upstream with its port" in out


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["websocket", "grpc"])
@pytest.mark.fault(74)
def test_a_proxy_without_a_rule_is_named(setup, graph, tmp_path, transport):
    def without_rules(text: str) -> str:
        return text.replace("grpc_pass ", "return 404; #").replace("proxy_pass ", "return 404; #")

    with running("nginx", tmp_path, upstream="127.0.0.1:1", change=without_rules) as proxy:
        code, out, _ = setup(graph(), *through(proxy, tmp_path), "--transport", transport)
    assert code == 1
    assert "404: the proxy has no rule for this host and path" in out


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROXIES)
def test_all_is_well_behind_a_proxy_and_a_wrong_secret_is_named(setup, graph, tmp_path, kind, monkeypatch):
    settings = [f"wav.path={tmp_path}/x.wav", "call.behind_proxy=[127.0.0.1]", "call.secret=${RINGCX_SECRET}"]
    path = graph()
    with Live("record", settings) as live, running(kind, tmp_path, upstream=live.upstream) as proxy:
        arguments = (path, *through(proxy, tmp_path))
        code, out, _ = setup(*arguments)
        assert code == 0
        assert out.count("a call is let in") == 2
        assert "failed" not in out
        monkeypatch.setenv("RINGCX_SECRET", "another-secret")
        code, out, _ = setup(*arguments)
        assert code == 1
        assert "the answer is 401: the secret is not the graph's" in out
        code, out, _ = setup(*arguments, "--transport", "grpc")
        assert code == 1
        assert "the secret is not the graph's" in out or kind == "haproxy"  # which ends all refused streams alike
    assert sorted(event.data["reason"] for event in live.named("start_missing")) == ["peer_closed", "stop"]


@pytest.mark.slow
def test_pages_are_found_behind_a_proxy_and_missing_ones_are_named(setup, tmp_path):
    settings = [f"wav.path={tmp_path}/x.wav", "call.behind_proxy=[127.0.0.1]"]
    with (
        stage(tmp_path, 'secret: "${VIEWER_KEY}"', call="behind_proxy: [127.0.0.1]") as live,
        Live("record", settings) as other,
    ):
        for receiver, exit_code, text in ((live, 0, "/client is served"), (other, 1, "no page at /client: ")):
            with running("nginx", tmp_path, upstream=receiver.upstream) as proxy:
                code, out, _ = setup(tmp_path / "stage.yaml", *through(proxy, tmp_path))
            assert code == exit_code
            assert text in out
            assert f"https://localhost:{proxy.port}/client?callId={{{{model.call.uii}}}}&key=…" in out
