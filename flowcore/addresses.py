"""IP addresses and networks: which of them are this machine, and which are behind a trusted proxy."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def in_networks(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether one of ``networks`` contains this address."""
    return any(address in network for network in networks)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a port at ``host``."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, or an empty host, which stands for every address
        return False


def normalize_address(text: str) -> Address:
    """Parse an address; drop its zone, and unwrap an IPv4-mapped IPv6 address. Raises `ValueError`."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def normalize_network(network: Network) -> Network:
    """Unwrap an IPv4-mapped IPv6 network, to match the addresses of `normalize_address`."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return IPv4Network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network
