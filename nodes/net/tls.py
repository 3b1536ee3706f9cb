"""TLS of one connection without its socket: bytes in, plain bytes out, and vice versa.

OpenSSL works on memory buffers, so that one `recv` serves all records of a slot, and a connection that is not read
costs nothing. The certificate can be reloaded while connections are open: they keep the one they began with.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from flowcore import Config, LocalPath, Report
from flowcore.tls import server_context
from nodes.net.certificate_dates import report_outdated

MAX_RECORD = 16 * 1024
"""Bytes of plain text in a TLS record at most."""

PLAIN_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"This port speaks TLS only: use wss:// or https://.\n"
)


_NOT_TLS = "the peer does not speak TLS: use wss:// or https://"
_NOT_TRUSTED = (
    "the peer does not trust the certificate: it needs the names of this port, and a chain to a known authority"
)
_TOO_OLD = "the peer's TLS is too old: this port takes 1.2 and 1.3"
_EXPLANATIONS = {
    "HTTP_REQUEST": _NOT_TLS,
    "HTTPS_PROXY_REQUEST": _NOT_TLS,
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _TOO_OLD,
    "VERSION_TOO_LOW": _TOO_OLD,
    "TLSV1_ALERT_UNKNOWN_CA": _NOT_TRUSTED,
    "SSLV3_ALERT_BAD_CERTIFICATE": _NOT_TRUSTED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says that the certificate has expired: renew it, and send SIGHUP",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _NOT_TRUSTED,
    "NO_SHARED_CIPHER": "the peer has no cipher of this port's",
}


class TlsFiles(Config):
    """The files of a certificate, in PEM format as certbot writes them. SIGHUP reloads them."""

    cert: LocalPath
    """File with the certificate and the intermediate certificates up to a known authority."""

    key: LocalPath
    """File with the private key, unencrypted."""


class Certificate:
    """A certificate chain and its key, in two PEM files, for a port that takes ``http2`` too, or not.

    Raises `CannotStart` when they cannot be used.
    """

    def __init__(self, cert: Path, key: Path, *, http2: bool = False) -> None:
        self._cert = cert
        self._key = key
        # In this order, in which a server chooses: browsers offer both, and can upgrade HTTP/1.1 alone to WebSocket.
        self._protocols = ["http/1.1", "h2"] if http2 else ["http/1.1"]
        self._context = server_context(cert, key, self._protocols)

    def reload(self) -> tuple[Path, Path]:
        """Read both files again, for new connections, and return their paths.

        Raises `CannotStart`, and keeps the old certificate.
        """
        self._context = server_context(self._cert, self._key, self._protocols)
        return self._cert, self._key

    def report_dates(self, report: Report) -> None:
        """Report what is wrong with the dates of the certificates."""
        report_outdated(self._cert, report)

    def connection(self) -> TlsConnection:
        """Create the server side of a new connection."""
        return TlsConnection(self._context)


class TlsConnection:
    """The TLS state of one connection, from its first byte to its last."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.handshake_done = False
        self.closed = False
        """Whether the peer has sent close_notify: bytes after it are not TLS."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the peer; return them decrypted. Raises `ssl.SSLError`; then `output` holds the alert."""
        self._incoming.write(data)
        if not self.handshake_done:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.handshake_done = True
        pieces = []
        while self._incoming.pending:  # checked first: the error at the end of whole records costs more than they do
            try:
                plain = self._tls.read(MAX_RECORD)
            except ssl.SSLWantReadError:  # part of a record
                break
            if not plain:  # close_notify; every `read` from now on returns nothing, even with bytes pending
                self.closed = True
                break
            pieces.append(plain)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def send(self, data: bytes) -> None:
        """Encrypt bytes into `output`; empty ones stand for the end of the stream."""
        if data:
            self._tls.write(data)
        elif self.handshake_done:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # the peer has not sent close_notify yet, or never will
                return

    def output(self) -> bytes:
        """Take the encrypted bytes to send."""
        return self._outgoing.read()


def explain(error: ssl.SSLError) -> str:
    """Return why a handshake failed, and what would help."""
    reason = error.reason or ""
    return _EXPLANATIONS.get(reason) or reason.replace("_", " ").lower() or "the peer broke the handshake off"
