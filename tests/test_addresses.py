"""Addresses and networks, as sockets, proxies and people write them."""

from ipaddress import ip_network

import pytest

from flowcore.addresses import in_networks, is_loopback, normalize_address, normalize_network


def test_a_zone_and_a_mapped_address_are_read():
    assert normalize_address("fe80::1%eth0") == normalize_address("fe80::1")
    assert in_networks(normalize_address("::ffff:10.0.0.7"), [ip_network("10.0.0.0/8")])


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("::ffff:192.0.2.0/120", "::ffff:192.0.2.7", "192.0.3.7"),  # IPv4 in IPv6, as a socket for both tells it
        ("192.0.2.0/24", "::ffff:192.0.2.7", "::ffff:192.0.3.7"),
        ("2001:db8::/32", "2001:db8::7", "192.0.2.7"),
    ],
)
def test_a_network_that_is_written_as_ipv4_in_ipv6_is_that_of_ipv4(written, inside, outside):
    networks = [normalize_network(ip_network(written))]
    assert in_networks(normalize_address(inside), networks)
    assert not in_networks(normalize_address(outside), networks)


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("0.0.0.0", False), ("", False), ("host.example", False)],
)
def test_only_this_machine_reaches_a_loopback_address(host, local):
    assert is_loopback(host) is local
