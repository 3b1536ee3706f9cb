"""Reasons for which a port turns a connection away before it becomes a call, with the advice that the log gives."""

from __future__ import annotations

from typing import Final, Protocol

from flowcore.addresses import Address

PORT_ADVICE: Final[dict[str, str]] = {
    "bad_http2": "the detail is an error of HTTP/2 (RFC 9113, 7): update the proxy in front, or the client",
    "bad_request": "send a WebSocket upgrade: GET, HTTP/1.1; a proxy in front must pass it on unchanged",
    "bad_tls": "see the detail; openssl s_client -connect HOST:PORT shows more",
    "http2": "calls over gRPC need grpc among the transports of ringcx; else a proxy must speak HTTP/1.1 to this port",
    "long_metadata": "headers may have 16 KiB together: remove those that a proxy in front adds",
    "no_page_access": "open the page with its key or token",
    "no_request": "see the detail; monitors should GET /healthz",
    "no_trusted_proxy": "add the proxy's network to behind_proxy, or give the port tls",
    "no_upgrade": "calls come by WebSocket: proxies must pass on Upgrade and Connection; monitors should GET /healthz",
    "no_websocket": "add websocket to transports; over gRPC, a proxy must speak HTTP/2 to this port",
    "not_grpc": "over HTTP/2 this port takes gRPC: open pages over HTTP/1.1; monitors should GET /healthz",
    "open_files": "raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd), or lower max_connections",
    "proxy_contradicts_itself": "let the proxy overwrite X-Forwarded-For and Forwarded, or send only one of them",
    "proxy_protocol": "switch the proxy protocol off; name the proxy in behind_proxy and let it send X-Forwarded-For",
    "tls_on_plain_port": "use ws:// for this port, or give it tls",
    "too_many_connections": "raise max_connections, or start more workers; the peer was told to try again",
    "too_many_viewers": "raise the number of viewers of the captions; the browser tries again",
    "unknown_path": "correct the path of the caller's address, or leave out `path`",
}
"""What would help, by reason."""

_PROXY_V1 = b"PROXY "
_PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_TLS_HANDSHAKE = b"\x16\x03"  # the record type, and the major version of SSL 3 to TLS 1.3
_HTTP2 = b"PRI * HTTP/2.0"

MAX_PREFIX: Final = len(_HTTP2)
"""Bytes from which `foreign_protocol` recognises any protocol."""


class OnRejected(Protocol):
    """Called for each connection that is turned away. ``detail`` never holds the peer's own words."""

    def __call__(self, reason: str, address: Address, detail: str = "", /) -> None: ...


def ignore(reason: str, address: Address, detail: str = "", /) -> None:
    """Do nothing; an `OnRejected`."""


def foreign_protocol(start: bytes) -> str:
    """Return the reason to reject a connection whose first bytes are another protocol's; empty for HTTP."""
    if start.startswith((_PROXY_V1, _PROXY_V2)):
        return "proxy_protocol"
    if start.startswith(_TLS_HANDSHAKE):
        return "tls_on_plain_port"
    return "http2" if start.startswith(_HTTP2) else ""
