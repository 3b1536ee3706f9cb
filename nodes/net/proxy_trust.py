"""The ways of clients to a port: its own TLS, or proxies that are trusted to report the client's address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from websockets.datastructures import Headers

from flowcore import Report
from flowcore.addresses import Address, Network, in_networks, normalize_address
from nodes.net.tls import Certificate, TlsFiles


class ConflictingHeaders(Exception):
    """X-Forwarded-For and Forwarded name different clients, so the client wrote one of them itself."""


@dataclass(frozen=True)
class ProxyTrust:
    """A port's certificate, and the networks of ``proxies`` whose X-Forwarded-For or Forwarded (RFC 7239) is believed.

    A port with proxies and without a certificate accepts connections only from them and from this machine: any other
    connection crossed the network in the clear.
    """

    certificate: Certificate | None = None
    proxies: Sequence[Network] = ()

    @classmethod
    def load(cls, tls: TlsFiles | None, proxies: Sequence[Network], *, http2: bool = False) -> ProxyTrust:
        """Read the certificate, if there is one, for a port that takes ``http2`` or not. Raises `CannotStart`."""
        return cls(None if tls is None else Certificate(Path(tls.cert), Path(tls.key), http2=http2), proxies)

    def reload(self, report: Report) -> Sequence[Path]:
        """Read the certificate again, report what is wrong with its dates, and return the paths of the files.

        Raises `CannotStart`, and keeps the old certificate.
        """
        if self.certificate is None:
            return ()
        paths = self.certificate.reload()
        self.report_dates(report)
        return paths

    def report_dates(self, report: Report) -> None:
        """Report what is wrong with the dates of the certificate."""
        if self.certificate is not None:
            self.certificate.report_dates(report)

    def accepts(self, remote_address: Address) -> bool:
        """Return whether to accept a connection from this address."""
        secure = self.certificate is not None or not self.proxies or remote_address.is_loopback
        return secure or in_networks(remote_address, self.proxies)

    def client_address(self, remote_address: Address, headers: Headers) -> Address:
        """Return the nearest address on the path that is no trusted proxy. Raises `ConflictingHeaders`.

        A proxy writes one of the two headers and may pass on the client's own value of the other, so both must agree.
        """
        if not in_networks(remote_address, self.proxies):
            return remote_address
        paths = (",".join(headers.get_all("X-Forwarded-For")).split(","), _forwarded(headers))
        clients = {self._nearest_untrusted(remote_address, hops) for hops in paths if any(hops)}
        if len(clients) > 1:
            raise ConflictingHeaders
        return clients.pop() if clients else remote_address

    def _nearest_untrusted(self, remote_address: Address, hops: Sequence[str]) -> Address:
        for hop in reversed(hops):
            address = _parse_hop(hop)
            if address is None:  # "unknown" or an obfuscated name: the hops behind it cannot be trusted
                break
            remote_address = address
            if not in_networks(remote_address, self.proxies):
                break
        return remote_address


def _forwarded(headers: Headers) -> list[str]:
    """Return the ``for`` of each element (RFC 7239), empty where there is none.

    Quotes are ignored: no address contains a comma, and a client that leaves a quote open must not swallow the
    elements that the proxy appends.
    """
    elements = ",".join(headers.get_all("Forwarded")).split(",")
    return [dict(_pairs(element)).get("for", "") for element in elements]


def _pairs(element: str) -> Iterator[tuple[str, str]]:
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        yield name.strip().lower(), value.strip().strip('"')


def _parse_hop(hop: str) -> Address | None:
    """Parse ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``."""
    hop = hop.strip()
    host = hop.partition("]")[0].lstrip("[") if hop.startswith("[") else hop.partition(":")[0]
    for text in (hop, host):
        with suppress(ValueError):
            return normalize_address(text)
    return None
