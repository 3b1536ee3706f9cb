"""Declared attributes are those of the protocols, and a path of either transport may use them."""

import pytest

from flowcore.graph.load import load_text
from flowcore.scenario.load import load
from flowcore.scenario.run import run
from nodes.ringcx import dialog_state, messages
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_attributes import ATTRIBUTES, MAX_FIELDS, MAX_TEXT, WEBSOCKET_ATTRIBUTES, limit

GRAPH = """\
flowcore: 1
nodes:
  call: {{use: {use}, with: {{port: 0}}}}
  ordered: {{use: reorder, from: call}}
  voices: {{use: decode_mulaw, from: ordered}}
  wav: {{use: wav_file, from: voices, with: {{path: "{path}.wav"}}}}
"""
TEST = """\
flowcore: 1
graph: g.yaml
tests:
  it_is_named:
    input:
      agent: [{{tone: 1s}}]
      customer: [{{tone: 1s}}]
      attributes: {{call_id: "7", ani: "55", account_id: a, sub_account_id: sub, rc_account_id: rc}}
    expect: {{files: {{"{file}.wav": {{channels: 2}}}}}}
"""


def test_declared_over_websocket_is_what_the_protocol_gives():
    said = messages.attributes([(name, "x") for name in (*messages._KNOWN_NAMES, "other")], "start")
    assert {name for name in said if "." not in name} == set(WEBSOCKET_ATTRIBUTES)


def test_declared_over_grpc_is_what_the_protocol_gives():
    account = pb.Account(id="a", sub_account_id="b", rc_account_id="c")
    dialog = pb.Dialog(id="d", type=pb.INBOUND, ani="1", dnis="2", language="en", attributes={"other": "x"})
    event = pb.StreamEvent(session_id="s", dialog_init=pb.DialogInitEvent(account=account, dialog=dialog))
    given = set(dialog_state._attributes(event))
    for kind in pb.ParticipantType.values():
        start = pb.SegmentStartEvent(segment_id="s", participant=pb.Participant(id="p", type=kind))
        start.product.type, start.product.id = 1, "q"
        given |= set(dialog_state._participant_attributes(start))
    assert {name for name in given if "." not in name} == set(ATTRIBUTES)


@pytest.mark.parametrize("use", ["ringcx", "ringcx_grpc"])
def test_file_is_named_after_attributes_of_either_transport(tmp_path, use):
    path = "{account_id}/{sub_account_id}-{rc_account_id}-{ani}-{call_id}"
    (tmp_path / "g.yaml").write_text(GRAPH.format(use=use, path=path))
    (tmp_path / "t.yaml").write_text(TEST.format(file="a/sub-rc-55-7"))
    (scenario,) = load(tmp_path / "t.yaml")
    assert run(scenario).differences == ()


@pytest.mark.parametrize("use", ["ringcx", "ringcx_grpc"])
def test_every_declared_attribute_may_stand_in_a_path(use):
    names = WEBSOCKET_ATTRIBUTES if use == "ringcx" else ATTRIBUTES
    graph = load_text(GRAPH.format(use=use, path="".join(f"{{{name}}}" for name in names)))
    assert graph.nodes["wav"].config.path.attributes == list(names)


def test_a_flood_of_attributes_is_limited_and_counted_and_costs_no_known_one():
    flood = {f"query.k{n}": "x" for n in range(10_000)}
    kept, cut = limit(flood | {"call_id": "7"})
    assert (kept["call_id"], len(kept), cut) == ("7", MAX_FIELDS + 1, 10_000 - MAX_FIELDS)


def test_a_long_attribute_is_cut_and_counted():
    assert limit({"ani": "5" * 999, "dnis": "6"}) == ({"ani": "5" * MAX_TEXT, "dnis": "6"}, 1)
