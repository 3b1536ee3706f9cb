import pytest
from pydantic import ValidationError

from flowcore import Text
from flowcore.testing import SESSION, NodeHarness
from nodes.captions.call_store import MAX_CAPTIONS
from nodes.sinks.captions import Captions

KEY = "0123456789abcdef"


def captions(session=SESSION, **config):
    resource = Captions.make_resource(Captions.Config(**config))
    resource.open()
    return NodeHarness(Captions, config, session=session, resource=resource), resource


def shown(resource, call):
    found = resource._calls.find(call)
    return found and [(line.track, line.start, line.text, line.final, line.gap) for _, line in found.since(0)]


def test_texts_are_shown_under_the_call_id_and_after_the_end_too():
    harness, resource = captions()
    harness.push(Text("agent", 1.0, 2.0, "hel", False, 0), Text("agent", 1.0, 2.5, "hello", True, 0))
    harness.push(Text("customer", 3.0, 4.0, "", True, 0, gap="untranscribed"))
    expected = [("agent", 1.0, "hello", True, ""), ("customer", 3.0, "", True, "untranscribed")]
    assert shown(resource, "call-1") == expected
    assert resource._calls.find("call-1").state == "live"
    harness.end()
    assert shown(resource, "call-1") == expected
    assert resource._calls.find("call-1").state == "ended"
    assert not harness.dropped_chunks


def test_call_without_an_id_has_its_flows():
    session = type(SESSION)("flow-7", SESSION.started)
    harness, resource = captions(session)
    harness.push(Text("agent", 0.0, 1.0, "hello", True, 0))
    assert len(shown(resource, "flow-7")) == 1


def test_what_no_longer_fits_on_the_page_is_counted():
    harness, resource = captions()
    harness.push(*(Text("agent", n, n + 1, "x", True, n) for n in range(MAX_CAPTIONS + 3))).end()
    assert harness.dropped_chunks == {"page_full": 3}
    assert len(shown(resource, "call-1")) == MAX_CAPTIONS


def test_listener_without_a_port_is_told_of():
    harness, resource = captions()
    assert [name for name, _ in harness.events] == ["page_unavailable"]
    resource.routes()
    assert NodeHarness(Captions, {}, resource=resource).events == []


def test_flows_of_equal_settings_share_a_page():
    assert Captions.make_resource(Captions.Config()) == Captions.make_resource(Captions.Config())
    assert Captions.make_resource(Captions.Config()) != Captions.make_resource(Captions.Config(keep="1min"))


@pytest.mark.parametrize(
    ("config", "mode"), [({}, "off"), ({"secret": KEY}, "key"), ({"secret": KEY, "access": "token"}, "token")]
)
def test_a_secret_makes_it_the_key_unless_tokens_are_asked_for(config, mode):
    assert Captions.Config(**config).mode == mode


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"access": "key"}, "access key needs a secret of 16 characters or more"),
        ({"access": "token", "secret": "hunter2"}, "access token needs a secret of 16 characters or more"),
        ({"secret": "hunter2"}, "access key needs a secret of 16 characters or more"),
        (
            {"frame_ancestors": ["https://desk.example/path"]},
            "is not an origin: write it like https://desk.example.com",
        ),
        ({"frame_ancestors": ["https://a.example; script-src *"]}, "is not an origin"),
        ({"frame_ancestors": ["*"]}, "is not an origin"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(config, says):
    with pytest.raises(ValidationError, match=says) as raised:
        Captions.Config(**config)
    assert all("hunter2" not in error["msg"] for error in raised.value.errors())  # which is what a graph's user reads
