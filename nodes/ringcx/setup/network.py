"""Checks of a public address below HTTP: its name, its port, and its certificate."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from nodes.net.certificate_dates import EXPIRES_SOON
from nodes.ringcx.setup.check import Check, Failed

TIMEOUT = 5.0
"""Seconds for a connection, and for a handshake."""

_UNTRUSTED = {
    "certificate has expired": "has expired: renew it",
    "certificate is not yet valid": "is not valid yet: correct the clock of the machine that made it, or of this one",
    "self-signed certificate": "is self-signed: RingCX wants one of a public authority, such as Let's Encrypt",
    "self-signed certificate in certificate chain": "is not of a public authority, such as Let's Encrypt: get one",
    "unable to get local issuer certificate": "is not of a public authority, or its chain is incomplete: serve "
    "fullchain.pem, not cert.pem",
    "unable to verify the first certificate": "has an incomplete chain: serve fullchain.pem, not cert.pem",
}
"""Advice by what OpenSSL says of a chain that it does not trust."""


def check_name(host: str, port: int, *, private: bool) -> Iterator[Check]:
    """Check that the name leads to this port from the internet. ``private`` allows an address that it does not reach.

    Raises `Failed` when one of the public addresses takes no connection, or none of the private ones.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise Failed(f"{host} has no address: create an A record (IPv6: AAAA) at the domain's name server") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    public = [address for address in addresses if ip_address(address.partition("%")[0]).is_global]
    for address in addresses:
        if address in public:
            yield Check("ok", "DNS", f"{host} is {address}")
        else:
            text = f"{host} is {address}, which RingCX cannot reach from the internet"
            yield Check("warning" if private else "failed", "DNS", text)
    closed: list[Failed] = []
    for address in addresses:
        try:
            _connect(address, port)
        except Failed as failed:
            closed.append(failed)
            if address in public or len(closed) == len(addresses):
                raise
    own = [address for address in addresses if _is_own(address)]
    hint = "; it is this machine's own address, so no firewall or router in front was crossed" if own else ""
    yield Check("ok", "port", f"{port} answers{hint}")


def _connect(address: str, port: int) -> None:
    try:
        socket.create_connection((address, port), TIMEOUT).close()
    except TimeoutError:
        raise Failed(f"no answer of {address} at port {port}: open it in the firewall and at the router") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise Failed(f"port {port} of {address} is closed ({why}): start the proxy or flowcore there") from None


def check_certificate(host: str, port: int, ca: Path | None) -> Iterator[Check]:
    """Check chain, name and dates. ``ca`` is an authority to trust. Raises `Failed`."""
    context = trust(ca)
    try:
        with (
            socket.create_connection((host, port), TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=host) as tls,
        ):
            certificate = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        wrong_name = "ostname mismatch" in error.verify_message or "IP address mismatch" in error.verify_message
        why = f"is not for {host}: get one with this name" if wrong_name else _UNTRUSTED.get(error.verify_message)
        raise Failed(f"the certificate {why or f'is not trusted: {error.verify_message}'}") from None
    except ssl.SSLError as error:
        reason = (error.reason or "no TLS").replace("_", " ").lower()
        raise Failed(f"no TLS at port {port} ({reason}): give the proxy or the graph's `tls` the certificate") from None
    except OSError as error:
        raise Failed(f"port {port} ends the TLS handshake ({error.strerror or error}): is TLS set up there?") from None
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    text = f"is for {host}, until {ends:%Y-%m-%d}"
    if ends.timestamp() - time.time() <= EXPIRES_SOON.total_seconds():
        yield Check("warning", "certificate", f"{text}: renew it, and see that renewal is automatic")
    elif ca is not None:
        yield Check("warning", "certificate", f"{text}, trusted by {ca} only: RingCX wants a public authority")
    else:
        yield Check("ok", "certificate", text)


def check_http2(host: str, port: int, ca: Path | None) -> Iterator[Check]:
    """Check that the port takes HTTP/2, as its TLS must offer for gRPC. Raises `Failed`."""
    context = trust(ca)
    context.set_alpn_protocols(["h2"])
    chosen = None
    try:
        with (
            socket.create_connection((host, port), TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=host) as tls,
        ):
            chosen = tls.selected_alpn_protocol()
    except OSError:  # a server may refuse the handshake for it
        pass
    if chosen != "h2":
        raise Failed("the port takes no HTTP/2, which gRPC needs: switch it on in the proxy (ALPN h2)")
    yield Check("ok", "HTTP/2", "is taken")


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return a client's TLS context that trusts the public authorities, or only ``ca``."""
    return ssl.create_default_context(cafile=ca)


def _is_own(address: str) -> bool:
    """Return whether the address is one of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
