import json

from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from flowcore import BadMessage
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.credentials import Credentials
from nodes.ringcx.messages import Media, Start, parse
from nodes.ringcx.redact import MASK, Redactor, meaning, summarize

SECRET = "s3cr3t-of-the-profile"
NAMES = st.sampled_from(
    ["event", "callId", "metadata", "secret", "ani", "x", "perspective", "protocol", "duration", "a_b"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(SECRET) | st.just(f"Bearer {SECRET}")
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))


@given(JSON)
def test_a_known_secret_is_nowhere_in_what_is_kept(message):
    assert SECRET not in Redactor(Credentials(SECRET)).message(json.dumps(message).encode())


@given(st.sampled_from(["secret", "token", "x-key", "auth", "pin", "vendor", "data"]), st.booleans())
def test_an_unknown_secret_is_masked_under_any_name_that_is_not_known(name, deep):
    message = {"event": "Start", "metadata": {"callId": "1", name: {"inner": SECRET} if deep else SECRET}}
    assert SECRET not in Redactor(None).message(json.dumps(message).encode())


@given(st.binary(max_size=60))
def test_what_is_no_message_is_kept_as_none(data):
    def judged(message):
        try:
            return type(parse(message))
        except BadMessage as bad:
            return bad.reason

    assert judged(Redactor(None).message(data).encode()) == judged(data)


def test_a_call_keeps_what_it_needs_to_be_played_again():
    caller = CallSender({"call_id": "c-1", "session_id": "2", "ani": "555", "product_type": "Queue"})
    veil = Redactor(None)
    for message in (caller.connected(), caller.start(), caller.media("agent", b"\x01" * 160), caller.stop(3, "2026")):
        assert parse(veil.message(message).encode()) == parse(message)
    upper = CallSender({"call_id": "c-1"}, "upper")
    upper.media("customer", b"x")
    assert type(parse(veil.message(upper.start()).encode())) is Start
    assert type(parse(veil.message(upper.media("customer", b"x")).encode())) is Media


def test_path_keeps_its_shape_and_the_ids_of_the_call():
    assert Redactor(None).path("/in?callId=c-1&key=abc&uii=7") == "/in?callId=c-1&key=***&uii=7"
    assert Redactor(Credentials("c-1")).path("/?callId=c-1") == "/?callId=***"
    assert Redactor(None).path("/") == "/"
    assert Redactor(None).path(f"/?{SECRET}&callId=1") == "/?=***&callId=1"  # it has no name, so it may be anything


def test_headers_are_kept_by_name_only_where_they_are_no_secret():
    headers = Headers([("User-Agent", "RingCX"), ("Authorization", "Bearer x"), ("X-Anything", "x"), ("Host", "me")])
    assert [Redactor(None).header(*pair) for pair in headers.raw_items()] == ["RingCX", MASK, MASK, MASK]


def test_shape_says_no_value():
    values = ["2223334444", "abc", "x", "", 120, -1.5, None, True, [1], {"a": 1}]
    assert [summarize(value) for value in values] == [
        "10 digits", "3 characters", "1 character", "empty", "number of 3 digits", "number of 3 digits",
        "null", "true", "list", "object of 1",
    ]  # fmt: skip


def test_meaning_is_what_the_listener_makes_of_a_name():
    assert [meaning(name) for name in ("uii", "Call-ID", "evAccountId", "colour")] == [
        "call_id",
        "call_id",
        "account_id",
        "",
    ]
