"""TLS on the port, over real sockets and with real clients of OpenSSL."""

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from flowcore import CannotStart
from nodes.net.port import HANDSHAKE_STEPS
from nodes.net.proxy_trust import ProxyTrust
from nodes.net.tls import Certificate
from tests.support.rig import UPGRADE, Rig, close_code, text

CA = trustme.CA()


def write(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    issued = CA.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


class Client:
    """A TLS client whose bytes are sent when the test decides."""

    def __init__(
        self,
        rig: Rig,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        name: str = "localhost",
        protocols: Sequence[str] = (),
    ) -> None:
        context = ssl.create_default_context()
        context.set_alpn_protocols(protocols)
        CA.configure_trust(context)
        context.maximum_version = version
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_hostname=name)
        self.socket = rig.connect()
        self.rig = rig

    def go(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Do a step of TLS, slot by slot until it is done."""
        while True:
            try:
                done = step(*arguments)
            except ssl.SSLWantReadError:
                done = None
            self.socket.sendall(self.goes.read())
            if done is not None:
                return done
            self.rig.slots()
            data = self.socket.recv(65536)
            if data:
                self.came.write(data)
            else:
                self.came.write_eof()

    def shake(self) -> None:
        self.go(lambda: self.tls.do_handshake() or True)

    def call(self) -> None:
        self.shake()
        self.go(self.tls.write, UPGRADE)
        assert self.go(self.tls.read, 4096).startswith(b"HTTP/1.1 101 ")

    def certificate(self) -> Any:
        return self.tls.getpeercert()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(proxy_trust=ProxyTrust(Certificate(*write(tmp_path))))
    yield rig
    rig.port.close()
    for client in rig.clients:
        client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_messages_arrive_in_order_in_the_slot_after_they_came(rig: Rig, version: ssl.TLSVersion) -> None:
    client = Client(rig, version)
    client.call()
    peer = rig.peers[-1]
    client.go(client.tls.write, text(b"one") + text(b"two"))
    client.go(client.tls.write, text(b"y" * 60_000))
    rig.slots(5)
    assert peer.heard == [b"one", b"two", b"y" * 60_000]


def test_any_slicing_of_records_gives_the_same_messages(rig: Rig) -> None:
    client = Client(rig)
    client.call()
    for number in range(4):
        client.tls.write(text(b"message %d" % number))
    data = client.goes.read()
    for at in range(0, len(data), 7):
        client.socket.sendall(data[at : at + 7])
        rig.slots()
    assert rig.peers[-1].heard == [b"message %d" % number for number in range(4)]


def test_what_we_send_and_the_closing_handshake_get_through(rig: Rig) -> None:
    client = Client(rig)
    client.call()
    peer = rig.peers[-1]
    assert peer.connection is not None
    peer.connection.send(b"x" * 40_000)
    heard = b""
    while len(heard) < 40_004:
        heard += client.go(client.tls.read, 65536)
    peer.connection.close(1000)
    assert close_code(client.go(client.tls.read, 100)) == 1000
    client.go(client.tls.write, b"\x88\x82" + bytes(4) + b"\x03\xe8")
    assert client.go(lambda: client.tls.read(1) or True) is True  # the end, said by TLS too
    assert peer.reasons == ["peer_closed"]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (UPGRADE, b"HTTP/1.1 400 Bad Request"),
        (b"hello, is this a telephone?\n" * 4, b""),
        (b"\x16\x03\x01\x00\x05hello", b"\x15\x03"),  # an alert
    ],
)
def test_plain_bytes_get_an_answer_and_harm_no_other_connection(rig: Rig, data: bytes, answer: bytes) -> None:
    good = Client(rig)
    good.call()
    bad = rig.connect(data)
    rig.slots()
    heard = bad.recv(4096)
    assert heard.startswith(answer)
    assert rig.rejected == ["bad_tls"]
    assert len(rig.port.connections) == 1
    good.go(good.tls.write, text(b"still here"))
    rig.slots()
    assert rig.peers[-1].heard == [b"still here"]
    assert rig.errors == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bytes_after_close_notify_are_not_read_and_delay_no_other_connection(rig: Rig, version: ssl.TLSVersion) -> None:
    good, bad = Client(rig), Client(rig, version)
    good.call()
    bad.call()
    with pytest.raises(ssl.SSLWantReadError):
        bad.tls.unwrap()
    bad.socket.sendall(bad.goes.read() + b"and on it goes" * 100)
    rig.slots(2)
    assert rig.peers[-1].reasons == ["peer_lost"]
    assert len(rig.port.connections) == 1
    good.go(good.tls.write, text(b"still here"))
    rig.slots()
    assert rig.peers[0].heard == [b"still here"]


def test_damaged_records_end_their_own_call_only(rig: Rig) -> None:
    good, bad = Client(rig), Client(rig)
    good.call()
    bad.call()
    bad.tls.write(text(b"one"))
    data = bytearray(bad.goes.read())
    data[-1] ^= 1
    bad.socket.sendall(data)
    good.go(good.tls.write, text(b"one"))
    rig.slots(2)
    assert [(peer.heard, peer.reasons) for peer in rig.peers] == [([b"one"], []), ([], ["peer_lost"])]
    assert rig.errors == []


@pytest.mark.fault(5)
def test_slow_tls_handshakes_are_dropped_at_5_s(rig: Rig) -> None:
    slow = rig.connect()
    hello = Client(rig)
    with pytest.raises(ssl.SSLWantReadError):
        hello.tls.do_handshake()
    half = hello.goes.read()
    slow.sendall(half[:50])
    hello.socket.sendall(half)  # and never a word more
    rig.slots()
    assert len(rig.port.connections) == 2
    rig.now += 5.0
    rig.slots()
    assert rig.port.connections == []
    assert slow.recv(1) == b""


def hello(rig: Rig) -> tuple[Client, bytes]:
    """A client whose first message is not sent yet."""
    client = Client(rig)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.socket.settimeout(0)
    return client, client.goes.read()


def is_answered(client: Client) -> bool:
    try:
        return bool(client.socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


@pytest.mark.fault(5)
@pytest.mark.slow
def test_a_flood_of_handshakes_costs_each_slot_a_few(rig: Rig) -> None:
    flood = [hello(rig) for _ in range(3 * HANDSHAKE_STEPS)]
    for client, said in flood:
        client.socket.sendall(said)
    for slot in range(1, 4):
        rig.slots()
        assert sum(is_answered(client) for client, _ in flood) == slot * HANDSHAKE_STEPS


@pytest.mark.slow
def test_handshakes_that_come_in_crumbs_take_no_turn_of_others(rig: Rig) -> None:
    slow = [hello(rig) for _ in range(3 * HANDSHAKE_STEPS)]
    good, greeting = hello(rig)
    for client, said in slow:
        client.socket.sendall(said[:1])
    good.socket.sendall(greeting)
    rig.slots()
    assert is_answered(good)


@pytest.mark.slow
def test_least_crowded_address_goes_first(rig: Rig) -> None:
    crowd = [hello(rig) for _ in range(3 * HANDSHAKE_STEPS)]
    with socket.create_connection(("127.0.0.1", rig.number), source_address=("127.0.0.2", 0)) as alone:
        for client, said in crowd:
            client.socket.sendall(said)
        alone.sendall(crowd[0][1])
        alone.settimeout(0)
        rig.slots()
        assert alone.recv(1)
    assert sum(is_answered(client) for client, _ in crowd) == HANDSHAKE_STEPS - 1


def test_a_renewed_certificate_is_for_new_connections_and_old_ones_go_on(rig: Rig, tmp_path: Path) -> None:
    before = Client(rig)
    before.call()
    write(tmp_path, "renewed.example")
    certificate = rig.proxy_trust.certificate
    assert certificate is not None
    certificate.reload()
    after = Client(rig, name="renewed.example")
    after.call()
    assert after.certificate()["subjectAltName"] == (("DNS", "renewed.example"),)
    before.go(before.tls.write, text(b"still here"))
    rig.slots()
    assert rig.peers[0].heard == [b"still here"]


def test_a_renewal_in_the_middle_of_a_handshake_disturbs_it_not(rig: Rig, tmp_path: Path) -> None:
    client, greeting = hello(rig)
    client.socket.settimeout(30)
    client.socket.sendall(greeting)
    rig.slots()
    write(tmp_path, "renewed.example")
    assert rig.proxy_trust.certificate is not None
    rig.proxy_trust.certificate.reload()
    client.came.write(client.socket.recv(65536))
    client.call()
    assert client.certificate()["subjectAltName"] == (("DNS", "localhost"),)


def no_file(folder: Path) -> None:
    (folder / "key.pem").unlink()


def others_key(folder: Path) -> None:
    CA.issue_cert("other").private_key_pem.write_to_path(folder / "key.pem")


def no_pem(folder: Path) -> None:
    (folder / "cert.pem").write_text("hello")


def encrypted(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    locked = form.BestAvailableEncryption(b"open sesame")
    (folder / "key.pem").write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_file, r"tls\.key: cannot read .*key\.pem: No such file"),
        (others_key, r"tls: .*key\.pem is not the key of the certificate in .*cert\.pem"),
        (no_pem, r"tls: .* are not a certificate chain and an unencrypted key in PEM format"),
        (encrypted, r"tls: .* unencrypted key"),
    ],
)
def test_what_cannot_be_used_is_said_and_a_running_port_keeps_what_it_has(
    rig: Rig, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(CannotStart, match=said):
        Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    certificate = rig.proxy_trust.certificate
    assert certificate is not None
    with pytest.raises(CannotStart):
        certificate.reload()
    Client(rig).call()


def test_no_old_version_is_spoken(rig: Rig) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = Client(rig, ssl.TLSVersion.TLSv1_1)
    with pytest.raises((ssl.SSLError, ValueError)):
        client.shake()
    assert rig.peers == []


@pytest.mark.slow
def test_an_idle_connection_takes_little_memory(rig: Rig) -> None:
    clients = [Client(rig) for _ in range(40)]
    for client in clients[:20]:
        client.call()
    import psutil

    before = psutil.Process().memory_info().rss
    for client in clients[20:]:
        client.call()
    assert (psutil.Process().memory_info().rss - before) / 20 < 256 * 1024  # of both sides


@pytest.mark.parametrize(
    ("http2", "offered", "chosen"),
    [
        (True, ["h2", "http/1.1"], "http/1.1"),  # a browser, whose pages and WebSockets need HTTP/1.1
        (True, ["h2"], "h2"),
        (False, ["h2", "http/1.1"], "http/1.1"),
        (False, ["h2"], None),
    ],
)
def test_http2_is_for_clients_that_offer_nothing_else(
    tmp_path: Path, http2: bool, offered: list[str], chosen: str | None
) -> None:
    rig = Rig(proxy_trust=ProxyTrust(Certificate(*write(tmp_path), http2=http2)))
    client = Client(rig, protocols=offered)
    client.shake()
    assert client.tls.selected_alpn_protocol() == chosen
    client.socket.close()
    rig.port.close()
