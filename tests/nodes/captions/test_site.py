"""The policy of the captions page, for any ``Host`` that a request has."""

import pytest

from nodes.captions.site import content_policy


def rule(hosts: list[str]) -> str:
    (found,) = [rule for rule in content_policy(hosts, []).split("; ") if rule.startswith("connect-src")]
    return found


def test_the_feed_is_named_at_the_host_that_the_browser_used():
    address = "captions.example:8443/client-ws"
    assert rule(["captions.example:8443"]) == f"connect-src 'self' ws://{address} wss://{address}"


@pytest.mark.parametrize("host", ["", "[::1]:3333", "a b", "a;script-src *", "a, b", "a/*", "é.example"])
def test_a_host_that_no_policy_can_name_adds_nothing(host):
    assert rule([host]) == "connect-src 'self'"


def test_a_request_without_a_host_still_has_a_policy():
    assert rule([]) == "connect-src 'self'"
