import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.ringcx.rest.address import BadAddress, check, check_destination, unreachable
from tools.fake_platform import ADDRESS


@pytest.mark.parametrize(
    "address", ["wss://calls.example.com", "wss://calls.example.com:8443", "wss://203.0.113.9", ""]
)
def test_address_that_ringcx_takes_passes(address):
    assert check(address) == address


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (
            "wss://calls.example.com/",
            "no path is allowed, not even a slash at the end: .* write  wss://calls.example.com$",
        ),
        ("wss://calls.example.com/media", "no path is allowed: .* write  wss://calls.example.com$"),
        ("wss://calls.example.com?token=1", "no query is allowed"),
        ("wss://calls.example.com#x", "no fragment is allowed"),
        ("ws://calls.example.com", "over TLS: write  wss://calls.example.com$"),
        ("https://calls.example.com", "only wss://"),
        ("WSS://calls.example.com", "only wss://"),
        ("calls.example.com:443", "must begin with wss://: write  wss://calls.example.com:443$"),
        ("wss://me:word@calls.example.com", "no user name or password"),
        ("wss://[2001:db8::1]:443", "no IPv6"),
        ("wss://calls.example.com:", "nothing is no port"),
        ("wss://calls.example.com:0", "0 is no port"),
        ("wss://calls.example.com:65536", "65536 is no port"),
        ("wss://calls.example.com:٣", "is no port"),
        ("wss://", "host name is missing"),
        ("wss://:443", "host name is missing"),
        ("wss://300.1.2.3", "no IPv4 address"),
        ("wss://1.2.3", "no IPv4 address"),
        ("wss://under_score.example.com", "is no host name"),
        ("wss://-a.example.com", "is no host name"),
        ("wss://a..com", "is no host name"),
        ("wss://calls.example.com ", "is no host name"),
        ("wss://calls.example.com\n", "is no host name"),
        ("wss://bücher.example", "is no host name"),
    ],
)
def test_address_that_ringcx_refuses_is_explained(address, why):
    with pytest.raises(BadAddress, match=why):
        check(address)


@pytest.mark.parametrize(
    "address",
    [
        "wss://calls.example.com/ringcx/audio",
        "wss://8.8.8.8:8443/?queue=7&x=%20",
        "wss://calls.example.com",
        "grpc://calls.example.com:443",
        "grpc://calls.example.com",
    ],
)
def test_address_that_a_stream_can_be_started_to_passes(address):
    assert check_destination(address) == address
    assert not unreachable(address)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "host name is missing"),
        ("https://calls.example.com:443/a", "write  wss://calls.example.com:443  or  grpc://calls.example.com:443$"),
        ("calls.example.com", "must begin with wss:// or grpc://"),
        (
            "grpc://calls.example.com/",
            "no path is allowed over gRPC, not even a slash .* write  grpc://calls.example.com$",
        ),
        ("wss://me:word@calls.example.com/a", "no user name or password"),
        ("https://me:word@calls.example.com/a", "no user name or password"),
        ("wss://calls.example.com/?token=abc", "set it in RINGCX_SECRET"),
        ("wss://calls.example.com/?Client_Secret=", "set it in RINGCX_SECRET"),
        ("wss://calls.example.com/a b", "only ASCII without spaces"),
        ("wss://calls.example.com/a#b", "without #"),
        ("wss://calls.example.com/ü", "only ASCII"),
        ("wss://under_score.example.com/a", "is no host name"),
    ],
)
def test_address_that_no_stream_can_be_started_to_is_explained(address, why):
    with pytest.raises(BadAddress, match=why) as refused:
        check_destination(address)
    assert "word@" not in str(refused.value)


def test_a_port_that_ringcx_does_not_reach_over_grpc_is_doubted():
    assert unreachable("grpc://calls.example.com:3333") == (
        "RingCX does not reach port 3333 over gRPC, only 443 and 10443"
    )
    assert not unreachable("grpc://calls.example.com:10443")


TEXT = st.text(alphabet="ws:/a1.-_?#@[]٣ \n", max_size=20)


@given(st.one_of(TEXT, TEXT.map("wss://".__add__), st.from_regex(ADDRESS, fullmatch=True)))
def test_what_passes_is_what_the_platforms_pattern_takes(address):
    try:
        check(address)
    except BadAddress:
        return
    assert ADDRESS.fullmatch(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "192.168.0.4", "localhost", "printer", "box.local"])
def test_address_of_a_private_network_is_doubted(host):
    assert f"cannot reach {host}" in unreachable(f"wss://{host}:443")


def test_public_address_is_not_doubted():
    assert [unreachable(url) for url in ("wss://calls.example.com", "wss://8.8.8.8:443", "")] == ["", "", ""]
