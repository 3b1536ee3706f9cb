"""What stands between a port and the world: TLS of its own, or proxies that are trusted to speak for others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from websockets.datastructures import Headers

from nodes.net.tls import Certificate, TlsFiles

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Contradiction(Exception):
    """Two headers name different callers, so one of them was written by the caller."""


@dataclass(frozen=True)
class ProxyTrust:
    """``proxies`` are the addresses whose word on who calls is taken: X-Forwarded-For, or Forwarded (RFC 7239).

    A port without a certificate that has proxies speaks with them and with this machine only: what comes from
    elsewhere came through the network in the clear.
    """

    certificate: Certificate | None = None
    proxies: Sequence[Network] = ()

    @classmethod
    def of(cls, tls: TlsFiles | None, proxies: Sequence[Network]) -> ProxyTrust:
        """Read the certificate, if there is one. Raises `CannotStart`."""
        return cls(None if tls is None else Certificate(tls.cert, tls.key), proxies)

    def meets(self, remote_address: Address) -> bool:
        """Whether to speak with a connection from this address at all."""
        secure = self.certificate is not None or not self.proxies or remote_address.is_loopback
        return secure or within(remote_address, self.proxies)

    def caller(self, remote_address: Address, headers: Headers) -> Address:
        """Who calls: the nearest address on the way that is no trusted proxy. Raises `Contradiction`.

        A proxy writes one of the two headers and may pass on what the caller put into the other, so both must agree.
        """
        if not within(remote_address, self.proxies):
            return remote_address
        hops = (",".join(headers.get_all("X-Forwarded-For")).split(","), _forwarded(headers))
        callers = {self._nearest(remote_address, way) for way in hops if any(way)}
        if len(callers) > 1:
            raise Contradiction
        return callers.pop() if callers else remote_address

    def _nearest(self, remote_address: Address, hops: Sequence[str]) -> Address:
        for hop in reversed(hops):
            address = _read(hop)
            if address is None:  # "unknown", or a name for one: what stands behind it was written by anybody
                break
            remote_address = address
            if not within(remote_address, self.proxies):
                break
        return remote_address


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of ``networks`` has this address."""
    return any(address in network for network in networks)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at ``host``."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, or nothing at all, which is every address
        return False


def plain(text: str) -> Address:
    """An address without its zone, and as IPv4 where IPv6 only carries it. Raises `ValueError`."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def plain_network(network: Network) -> Network:
    """As IPv4 where IPv6 only carries it, since that is what `plain` makes of the addresses in it."""
    carried = getattr(network.network_address, "ipv4_mapped", None)
    return IPv4Network((carried, network.prefixlen - 96)) if carried and network.prefixlen >= 96 else network


def _forwarded(headers: Headers) -> list[str]:
    """The ``for`` of each element (RFC 7239), empty where there is none.

    Quotes do not count: no address has a comma in it, and a caller who opens one and leaves it open must not swallow
    what the proxy adds behind it.
    """
    elements = ",".join(headers.get_all("Forwarded")).split(",")
    return [dict(_pairs(element)).get("for", "") for element in elements]


def _pairs(element: str) -> Iterator[tuple[str, str]]:
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        yield name.strip().lower(), value.strip().strip('"')


def _read(hop: str) -> Address | None:
    """``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``."""
    for text in _spellings(hop.strip()):
        try:
            return plain(text)
        except ValueError:
            continue
    return None


def _spellings(hop: str) -> Iterator[str]:
    yield hop
    yield hop.partition("]")[0].lstrip("[") if hop.startswith("[") else hop.partition(":")[0]
