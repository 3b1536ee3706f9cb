"""Listening to calls that run: what is heard, what it leaves behind, and what it costs them."""

import numpy as np
import pytest

from flowcore.control import TapConnection, ask
from flowcore.control.taps import MAX_QUEUE
from flowcore.errors import UsageError
from tests.support.asking import call, hub
from tests.support.live import Live, until
from tests.support.phone import said, stereo

pytestmark = pytest.mark.slow

GRAPH = """
flowcore: 1
import: [{nodes}]
nodes:
  call: {{use: ringcx, with: {{port: 0}}}}
  ordered: {{use: reorder, from: call, with: {{window: 40ms, chunk: 20ms}}}}
  voices: {{use: decode_mulaw, from: ordered}}
  both: {{use: interleave, from: voices}}
  wav: {{use: wav_file, from: both, with: {{path: "{folder}/{{call_id}}.wav"}}}}
  party: {{use: split, from: voices}}
  shaky: {{use: shaky, from: party.agent, on_error: restart}}
  left: {{use: gather, from: shaky}}
  right: {{use: gather, from: party.customer}}
"""
NODES = '''
from flowcore import LINEAR, Audio, Sink, Transform, node


@node("shaky")
class Shaky(Transform[Audio, Audio]):
    """Fails once, in a call that is called so."""

    caps = (LINEAR,)
    failed = False

    def open(self, session):
        self.fails = session.attributes["call_id"] == "shaky"

    def process(self, chunk, emit):
        if self.fails and not Shaky.failed and chunk.start >= 8000:
            Shaky.failed = True
            raise ValueError("shaky")
        emit(chunk)


@node("gather")
class Gather(Sink[Audio]):
    """Keeps all."""

    caps = (LINEAR,)

    def process(self, chunk):
        pass
'''


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "shaky_nodes.py").write_text(NODES)
    (tmp_path / "graph.yaml").write_text(GRAPH.format(nodes="shaky_nodes.py", folder=tmp_path))
    with Live(str(tmp_path / "graph")) as live, hub(live) as live.control:
        yield live


def state_of(flow):
    """All that a tap could have changed."""
    runs = flow.runs.values()
    return [(run.work, tuple(run.emits), [hop.emit for hop in run._inlets]) for run in runs], flow.push


def at_work(flow):
    """Wait until all nodes are open."""
    until(lambda: all(run.node is None or run.work == run.node.process for run in flow.runs.values()))


def listen(live, node="", name="one"):
    return TapConnection(live.control, name, node)


def all_of(listening):
    """Everything until the end, and the samples of each party."""
    heads, parts = [], {}
    while listening.end is None:
        for head, data in listening.messages(1.0):
            heads.append(head)
            parts.setdefault(head["track"], []).append((head["start"], np.frombuffer(data, np.int16)))
    return heads, parts


def line(pieces):
    """In one array from the first piece's position on, which is returned too."""
    start = pieces[0][0]
    return start, np.concatenate([samples for _, samples in pieces])


def finish(live, phone):
    phone.stop()
    phone.hang_up()
    until(lambda: not live.engine.flows)


@pytest.mark.parametrize(
    ("node", "tracks"),
    [
        ("", ["agent", "customer"]),
        ("voices", ["agent", "customer"]),
        ("party.customer", ["customer"]),
        ("left", ["agent"]),
    ],
)
def test_a_tap_gets_the_chunks_of_a_node_unchanged(live, node, tracks):
    phone = call(live, "one")
    with listen(live, node) as listening:
        phone.talk(1, 0.5)
        finish(live, phone)
        _, parts = all_of(listening)
    assert sorted(parts) == tracks
    assert listening.end == "stop"
    for column, track in enumerate(("agent", "customer")):
        if track in tracks:
            start, samples = line(parts[track])
            assert start == 0
            assert (samples == said(1, 0.5)[:, column]).all()


def test_a_tap_on_a_sink_gets_its_input_and_the_hello_describes_it(live):
    phone = call(live, "one")
    with listen(live, "wav") as listening:
        assert listening.hello["call_id"] == "one"
        assert listening.hello["format"] == {"kind": "audio", "encoding": "s16", "rate": 8000, "layout": "stereo"}
        phone.talk(1, 0.5)
        finish(live, phone)
        heads, parts = all_of(listening)
    assert {head["channels"] for head in heads} == {2}
    _, samples = line(parts[""])
    assert (samples.reshape(-1, 2) == said(1, 0.5)).all()


@pytest.mark.fault(46)
def test_a_call_without_taps_is_as_it_was_before_them(live):
    phone = call(live, "one")
    (flow,) = live.engine.flows.values()
    phone.talk(1, 0.1)
    at_work(flow)
    before = state_of(flow)
    listenings = [listen(live, node) for node in ("voices", "voices", "party.agent", "shaky", "wav", "left")]
    assert len(clients_of(flow)) == 6
    assert state_of(flow) != before
    for listening in listenings:
        listening.close()
    until(lambda: state_of(flow) == before)
    phone.talk(1, 0.4)
    finish(live, phone)


def test_a_tap_stays_when_its_node_is_restarted(live, monkeypatch):
    monkeypatch.setattr("flowcore.engine.node_run.RESTART_DELAY", 0.0)
    phone = call(live, "shaky")
    (flow,) = live.engine.flows.values()
    with listen(live, "shaky", "shaky") as listening:
        phone.talk(1, 1.2)
        until(lambda: live.named("node_failed"))
        phone.talk(1, 0.5)  # with which it is restarted
        until(lambda: not flow.runs["shaky"].failed and flow.runs["shaky"].work == flow.runs["shaky"].node.process)
        phone.talk(1, 0.5)
        finish(live, phone)
        _, parts = all_of(listening)
    ends = [start + len(samples) for start, samples in parts["agent"]]
    assert max(ends) == 2.2 * 8000


@pytest.mark.slow
def test_a_client_that_stands_still_loses_audio_and_learns_how_much(live, tmp_path):
    phone = call(live, "one")
    slow = listen(live, "voices")
    (flow,) = live.engine.flows.values()
    (client,) = clients_of(flow)
    phone.talk(1, 12.0)
    until(lambda: client.taken >= 1000)
    assert len(client.queue) == MAX_QUEUE
    finish(live, phone)
    heads, _ = all_of(slow)
    slow.close()
    assert slow.lost > 0
    assert slow.lost + len(heads) == client.taken
    assert (stereo(tmp_path / "one.wav") == said(1, 12.0)).all()
    assert not live.dropped()


def test_a_tap_survives_the_release_of_its_node(live):
    phone = call(live, "one")
    listenings = [listen(live, node) for node in ("wav", "voices", "shaky")]
    (flow,) = live.engine.flows.values()
    runs = tuple(flow.runs.values())
    clients = clients_of(flow)
    finish(live, phone)
    for listening in listenings:
        all_of(listening)
        listening.close()
    assert len(clients) == 3
    until(lambda: all(run.node is None for run in runs))
    for run in runs:
        run.add_probe(0, clients[0].take)  # the last that a tap could ask for
        run.remove_probe(0, clients[0].take)
    phone = call(live, "two")
    with listen(live, "wav", "two") as listening:
        phone.talk(1, 0.5)
        finish(live, phone)
        assert all_of(listening)[0]


def clients_of(flow):
    """The clients whose probes are in place now."""
    return [probe.__self__ for run in flow.runs.values() for _, probe in run._active_probes]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("nothing", "there is no node 'nothing': name one of call, ordered, voices"),
        ("party", "say which output: party.agent, party.customer"),
        ("party.third", "say which output: party.agent, party.customer"),
        ("voices.agent", "voices has no output 'agent': leave it out"),
        ("call", "call has packets as they came"),
    ],
)
def test_a_wrong_node_or_port_is_named_with_those_there_are(live, node, said):
    call(live, "one")
    with pytest.raises(UsageError, match=said):
        listen(live, node)


def test_a_call_is_named_by_its_flow_its_id_or_a_prefix(live):
    call(live, "one")
    call(live, "once")
    flow = live.engine.flows
    (last,) = [f for f in flow.values() if f.session.attributes["call_id"] == "once"]
    for name in ("once", "onc", last.id):
        with listen(live, name=name) as listening:
            assert listening.hello["call_id"] == "once"
    for name, why in (("on", "2 live calls match 'on'"), ("x", "there is no live call 'x'")):
        with pytest.raises(UsageError, match=why):
            listen(live, name=name)


def test_no_calls(live):
    with pytest.raises(UsageError, match="there is no live call now"):
        listen(live, name="newest")


def test_a_client_that_never_connects_is_given_up(live, tmp_path, monkeypatch):
    monkeypatch.setattr("flowcore.control.taps.CONNECT_TIMEOUT", 0.05)
    call(live, "one")
    (flow,) = live.engine.flows.values()
    at_work(flow)
    before = state_of(flow)
    answers, _ = ask(live.control, {"ask": "tap", "flow": flow.id, "node": "voices"})
    assert answers[1]["path"].endswith(".tap")
    until(lambda: not list((tmp_path / "flowcore").glob("*.tap")))
    until(lambda: state_of(flow) == before)


def test_a_path_that_no_socket_can_have_is_named(live, tmp_path, monkeypatch):
    call(live, "one")
    control = live.control
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 30)))
    with pytest.raises(UsageError, match=r"cannot listen at /.*long.*: AF_UNIX path too long"):
        TapConnection(control, "one", "voices")


def test_the_number_of_clients_is_limited(live, monkeypatch):
    monkeypatch.setattr("flowcore.control.taps.MAX_CLIENTS", 1)
    call(live, "one")
    with listen(live), pytest.raises(UsageError, match="1 clients are connected already"):
        listen(live)
