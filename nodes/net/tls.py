"""TLS of one connection without its socket: bytes in, plain bytes out, and the other way round.

OpenSSL does the work on memory, so that one `recv` serves all records of a slot, and a connection that is not read
costs nothing. The certificate can be read anew while connections go on: they keep the one they began with.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from flowcore import CannotStart, Config

RECORD = 16 * 1024
"""Bytes of plain text in a record of TLS at most."""

WRONG_PORT = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"This port speaks TLS only: use wss:// or https://.\n"
)


class TlsFiles(Config):
    """Where a certificate is, in PEM format as certbot writes it. SIGHUP reads it anew."""

    cert: Path
    """File with the certificate, and those between it and a known authority."""

    key: Path
    """File with its private key, not encrypted."""


class Certificate:
    """A certificate chain and its key, two PEM files. Raises `CannotStart` when they cannot be used."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self._context = _context(cert, key)

    def renew(self) -> None:
        """Read both files anew, for connections from now on. Raises `CannotStart`, and keeps what it has."""
        self._context = _context(self._cert, self._key)

    def connection(self) -> Tls:
        """The server's side of a new connection."""
        return Tls(self._context)


class Tls:
    """One connection, from its first byte to its last."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.shaken = False
        """The handshake is done."""
        self.ended = False
        """The peer has said goodbye: whatever follows is not TLS."""
        self._came = ssl.MemoryBIO()
        self._goes = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_side=True)

    def receive(self, data: bytes) -> bytes:
        """Bytes from the peer; returns what they say. Raises `ssl.SSLError`; then `output` is the last word."""
        self._came.write(data)
        if not self.shaken:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.shaken = True
        said = []
        while self._came.pending:  # asked first, as the error at the end of whole records costs more than they do
            try:
                plain = self._tls.read(RECORD)
            except ssl.SSLWantReadError:  # part of a record
                break
            if not plain:  # a goodbye; from now on every `read` says so, whatever is pending
                self.ended = True
                break
            said.append(plain)
        return said[0] if len(said) == 1 else b"".join(said)

    def send(self, data: bytes) -> None:
        """Put bytes into `output`; none of them stand for the end of the stream."""
        if data:
            self._tls.write(data)
        elif self.shaken:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # the peer has not said goodbye yet, or never will
                return

    def output(self) -> bytes:
        """What is to be sent."""
        return self._goes.read()


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # which costs the server more than the client
    context.set_alpn_protocols(["http/1.1"])
    for path, field in ((cert, "tls.cert"), (key, "tls.key")):
        try:
            path.read_bytes()
        except OSError as error:
            raise CannotStart(f"cannot read {path}: {error.strerror}", field=field) from None
    try:
        context.load_cert_chain(cert, key, password="")  # none: OpenSSL would ask at the terminal
    except (ssl.SSLError, ValueError) as error:
        raise CannotStart(_wrong(cert, key, error), field="tls") from None
    return context


def _wrong(cert: Path, key: Path, error: Exception) -> str:
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return f"{key} is not the key of the certificate in {cert}: give the two that were made together"
    return f"{cert} and {key} are no certificate chain and unencrypted key in PEM format"
