"""The client's address behind trusted proxies, against forged headers."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from flowcore.addresses import normalize_address
from nodes.net.proxy_trust import ConflictingHeaders, ProxyTrust

PROXY = normalize_address("10.0.0.1")
TRUST = ProxyTrust(proxies=(ip_network("10.0.0.0/24"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ([], "10.0.0.1"),
        ([("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
        ([("X-Forwarded-For", "6.6.6.6, 192.0.2.1")], "192.0.2.1"),
        ([("X-Forwarded-For", "6.6.6.6, 192.0.2.1, 10.0.0.2")], "192.0.2.1"),
        ([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
        ([("X-Forwarded-For", "10.0.0.9")], "10.0.0.9"),
        ([("X-Forwarded-For", "192.0.2.1:5060")], "192.0.2.1"),
        ([("X-Forwarded-For", "2001:db8::1")], "2001:db8::1"),
        ([("X-Forwarded-For", "[2001:db8::1]:80")], "2001:db8::1"),
        ([("X-Forwarded-For", "::ffff:192.0.2.1")], "192.0.2.1"),
        ([("X-Forwarded-For", "6.6.6.6, unknown")], "10.0.0.1"),
        ([("X-Forwarded-For", "6.6.6.6, unknown, fd00::7")], "fd00::7"),
        ([("X-Forwarded-For", "")], "10.0.0.1"),
        ([("Forwarded", "for=192.0.2.1;proto=https;by=10.0.0.1")], "192.0.2.1"),
        ([("Forwarded", 'for=6.6.6.6, proto=https;For="[2001:db8::1]:4711"')], "2001:db8::1"),
        ([("Forwarded", 'for="6.6.6.6, for=192.0.2.1')], "192.0.2.1"),
        ([("Forwarded", "for=_hidden")], "10.0.0.1"),
        ([("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_calls(headers: list[tuple[str, str]], caller: str) -> None:
    assert str(TRUST.client_address(PROXY, Headers(headers))) == caller


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_header_from_outside_is_not_believed(header: str) -> None:
    forged = Headers([(header, "for=10.0.0.2" if header == "Forwarded" else "10.0.0.2")])
    assert str(TRUST.client_address(normalize_address("6.6.6.6"), forged)) == "6.6.6.6"
    assert str(ProxyTrust().client_address(normalize_address("6.6.6.6"), forged)) == "6.6.6.6"


def test_what_the_caller_put_into_the_other_header_is_noticed() -> None:
    with pytest.raises(ConflictingHeaders):
        TRUST.client_address(PROXY, Headers([("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=10.9.9.9")]))


WRITTEN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)  # more no header may hold


@given(st.lists(st.tuples(st.sampled_from(["X-Forwarded-For", "Forwarded"]), WRITTEN)))
def test_any_headers_give_an_address_or_a_contradiction(headers: list[tuple[str, str]]) -> None:
    try:
        TRUST.client_address(PROXY, Headers(headers))
    except ConflictingHeaders:
        return


@pytest.mark.fault(16)
@given(WRITTEN)
def test_nothing_a_caller_writes_changes_what_the_proxy_adds(written: str) -> None:
    assert str(TRUST.client_address(PROXY, Headers([("X-Forwarded-For", f"{written}, 192.0.2.1")]))) == "192.0.2.1"
    assert str(
        TRUST.client_address(PROXY, Headers([("X-Forwarded-For", written), ("X-Forwarded-For", "192.0.2.1")]))
    ) == ("192.0.2.1")
    for added, caller in (("for=192.0.2.1", "192.0.2.1"), ('By=_p;For="[2001:db8::1]:80";proto=wss', "2001:db8::1")):
        for said in ([f"{written}, {added}"], [written, added]):
            assert str(TRUST.client_address(PROXY, Headers([("Forwarded", one) for one in said]))) == caller


def test_a_quote_that_a_caller_leaves_open_does_not_swallow_the_proxys_word() -> None:
    said = Headers([("Forwarded", 'for=", for="[2001:db8::1]"')])
    assert str(TRUST.client_address(PROXY, said)) == "2001:db8::1"


@pytest.mark.parametrize(
    ("address", "met"),
    [("10.0.0.5", True), ("127.0.0.1", True), ("::1", True), ("6.6.6.6", False), ("10.0.1.1", False)],
)
def test_without_a_certificate_only_proxies_and_this_machine_are_met(address: str, met: bool) -> None:
    assert TRUST.accepts(normalize_address(address)) is met
    assert ProxyTrust().accepts(normalize_address(address))
