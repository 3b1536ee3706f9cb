"""Admission of calls, and the reports about rejected ones."""

from ipaddress import ip_network
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import Refused
from flowcore.addresses import normalize_address
from flowcore.engine.admission import LocalConnectionCounter
from nodes.net.peer import Page
from nodes.ringcx.access_policy import ADVICE, AccessPolicy, Admission
from nodes.ringcx.listener_config import ListenerConfig

HERE = normalize_address("192.0.2.1")
SECRET = "s3cret-of-ours"


class EventReport:
    """A report that keeps its events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None: ...
    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None: ...

    def event(self, event: str, **data: Any) -> None:
        self.events.append({"event": event, **data})


def policy(**rules: Any) -> AccessPolicy:
    return AccessPolicy(ListenerConfig(**rules), EventReport(), LocalConnectionCounter())


def request(path: str = "/", *headers: tuple[str, str]) -> Request:
    return Request(path, Headers(headers))


def asked(rules: dict[str, Any], asking: Request, caller: str = "192.0.2.1") -> int:
    answer = policy(**rules).admit(asking, normalize_address(caller))
    return int(answer.status) if isinstance(answer, Page) else 101


NET = {"networks": (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))}
ORIGIN = {"origins": {"https://good.example", "null"}}
ACCOUNT = {"accounts": {"99990000", "7"}}


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("rules", "asking", "caller", "status"),
    [
        ({}, request(), "6.6.6.6", 101),
        (NET, request(), "192.0.2.77", 101),
        (NET, request(), "::ffff:192.0.2.77", 101),
        (NET, request(), "2001:db8::1", 101),
        (NET, request(), "192.0.3.1", 403),
        ({}, request("/", ("Origin", "https://good.example")), "6.6.6.6", 403),
        ({"origins": ("https://Good.example/",)}, request("/", ("Origin", "HTTPS://good.example")), "6.6.6.6", 101),
        (ORIGIN, request("/", ("Origin", "https://good.example")), "6.6.6.6", 101),
        (ORIGIN, request("/", ("Origin", "HTTPS://Good.example")), "6.6.6.6", 101),
        (ORIGIN, request("/", ("Origin", "null")), "6.6.6.6", 101),
        (ORIGIN, request("/", ("Origin", "https://evil-good.example")), "6.6.6.6", 403),
        (ORIGIN, request("/", ("Origin", "https://good.example.evil")), "6.6.6.6", 403),
        (ORIGIN, request("/", ("Origin", "http://good.example")), "6.6.6.6", 403),
        (ORIGIN, request("/", ("Origin", "https://good.example:444")), "6.6.6.6", 403),
        (ORIGIN, request("/", ("Origin", "")), "6.6.6.6", 403),
        (
            ORIGIN,
            request("/", ("Origin", "https://good.example"), ("Origin", "https://evil.example")),
            "6.6.6.6",
            403,
        ),
        (ACCOUNT, request("/?EVAccountId=99990000&x=1"), "6.6.6.6", 101),
        (ACCOUNT, request("/?accountId=1&subaccountId=7"), "6.6.6.6", 101),
        (ACCOUNT, request("/?accountId=1"), "6.6.6.6", 403),
        (ACCOUNT, request(), "6.6.6.6", 101),  # Start will tell
        ({"secret": SECRET}, request("/", ("Authorization", "Bearer wrong")), "6.6.6.6", 401),
        ({"secret": SECRET}, request("/?secret=wrong"), "6.6.6.6", 401),
        ({"secret": SECRET}, request("/", ("Authorization", f"Bearer {SECRET}")), "6.6.6.6", 101),
        ({"secret": SECRET}, request(), "6.6.6.6", 101),  # Start will tell
        ({"secret": SECRET, "secret_mode": "observe"}, request("/?secret=wrong"), "6.6.6.6", 101),
        ({"secret": SECRET, "secret_mode": "off"}, request("/?secret=wrong"), "6.6.6.6", 101),
    ],
)
def test_the_upgrade_is_answered(rules: dict[str, Any], asking: Request, caller: str, status: int) -> None:
    assert asked(rules, asking, caller) == status


def admit(made: AccessPolicy, asking: Request | None = None) -> Admission:
    found = made.admit(asking or request(), HERE)
    assert isinstance(found, Admission)
    return found


def test_start_without_the_secret_is_refused_and_with_it_anywhere_before_it_is_not() -> None:
    made = policy(secret=SECRET)
    assert admit(made).objection({}) == "no valid credentials"
    wrong = admit(made)
    wrong.search(b'{"event":"Start","metadata":{"secret":"wrong"}}')
    assert wrong.objection({}) == "no valid credentials"
    right = admit(made)
    right.search(b'{"event":"Connected","x":"s3cret-of-ours"}')
    assert (right.objection({}), right.secret_place, right.searching) == ("", "Connected.x", False)
    assert admit(made, request(f"/?k={SECRET}")).objection({}) == ""


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_calls_without_the_secret_are_refused_only_with_require(mode: str) -> None:
    assert admit(policy(secret=SECRET, secret_mode=mode)).objection({}) == ""


def test_start_wins_over_the_query() -> None:
    made = policy(**ACCOUNT)
    coming = admit(made, request("/?accountId=99990000"))
    assert coming.objection({"account_id": "99990000"}) == ""
    assert coming.objection({"account_id": "1"}) == "calls of this account are not taken"
    assert coming.objection({}) == "calls of this account are not taken"


def test_an_address_holds_so_many_calls_and_others_are_untouched() -> None:
    made = policy(max_calls_per_ip=2)
    calls = [admit(made) for _ in range(2)]
    for call in calls:
        call.opened()
    with pytest.raises(Refused) as caught:
        made.admit(request(), HERE)
    assert caught.value.retry_after > 0
    assert isinstance(made.admit(request(), normalize_address("192.0.2.2")), Admission)
    calls[0].closed()
    admit(made).opened()
    calls[1].closed()
    assert made.connections.count(str(HERE)) == 1
    assert asked({"max_calls_per_ip": 1, **NET}, request(), "6.6.6.6") == 403  # a stranger is not told that it is full


def test_addresses_do_not_pile_up() -> None:
    made = policy(max_calls_per_ip=1)
    for number in range(1000):
        coming = made.admit(request(), normalize_address(f"10.0.{number // 256}.{number % 256}"))
        assert isinstance(coming, Admission)
        coming.opened()
        coming.closed()
    assert made.connections.count("10.0.0.1") == 0


@pytest.mark.parametrize("reason", ADVICE)
def test_every_rejection_is_reported_with_reason_address_and_advice(reason: str) -> None:
    report = EventReport()
    AccessPolicy(ListenerConfig(), report, LocalConnectionCounter()).report_rejection(
        reason, normalize_address("6.6.6.6")
    )
    (event,) = report.events
    assert (event["event"], event["reason"], event["address"]) == ("caller_rejected", reason, "6.6.6.6")
    assert len(event["advice"]) > 20


def test_attributes_contain_no_credential() -> None:
    said = {
        "call_id": "1",
        "query.x": f"Bearer {SECRET}",
        "start.auth": f"a{SECRET}b",
        "query.token": "t",
        "start.clientsecret": "u",
        "query.password": "p",
        "ani": "5550100",
    }
    assert admit(policy(secret=SECRET, secret_mode="off")).redact(said) == {"call_id": "1", "ani": "5550100"}
    assert set(admit(policy()).redact(said)) == {"call_id", "ani", "query.x", "start.auth"}
