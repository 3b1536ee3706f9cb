"""Silenced calls: nothing of a paused or muted party passes the listener, and everything keeps its length and place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Audio, Config, Format, Listener, Packet, Sink
from flowcore.audio import TRACKS
from flowcore.control.call_control import answer
from flowcore.engine.silencing import MAX_REMEMBERED, SilencedCalls, Silencing
from flowcore.losses import Gap
from flowcore.testing import run_plan
from nodes.transforms.reorder import Reorder
from tests.engine.nodes import Keep, Tones, plan, step

PACKETS = 100
LENGTH = 160  # samples of a packet
SOUND = 0x2A


class Packets(Listener[Packet, Config]):
    """A call of 2 s in packets of 20 ms of both parties, whose data are ``SOUND``."""

    @classmethod
    def gives(cls, config):
        return Format("packets", "mulaw", 8000, "tracks")

    async def run(self, host):
        inlet = host.accept({"call_id": "c"})
        for number in range(PACKETS):
            for track in TRACKS:
                inlet.push(Packet(track, number, bytes([SOUND]) * LENGTH, host.now()))
            await host.sleep(0.02)
        inlet.end("done")


Packets.name = "packets"


class Heard(Sink[Audio, Config]):
    """Keeps the chunks behind the jitter buffer, and what the flow says of silenced stretches."""

    caps = Keep.caps
    chunks: list[Audio] = []
    silenced_at_flush: tuple[Gap, ...] = ()

    def process(self, chunk):
        self.chunks.append(chunk)

    def flush(self):
        Heard.silenced_at_flush = tuple(self.silenced())


Heard.name = "heard"


@pytest.fixture(autouse=True)
def fresh():
    Heard.chunks.clear()
    Keep.kept.clear()


def acting(commands, call_id="c"):
    """Let an engine get commands ``(slot, action, party)``; the answers come into the returned list."""
    answers = []

    def prepare(engine):
        def poll():
            for slot, action, party in commands:
                if slot == engine.slots.count:
                    answers.append(answer(engine, {"call_id": call_id, "flow": "", "do": action, "party": party}))

        engine.slots.every(poll)

    return prepare, answers


def heard(commands):
    """Run `Packets` with commands; return the tracks behind the jitter buffer, and the result."""
    prepare, answers = acting(commands)
    steps = [step("call", Packets), step("ordered", Reorder, "call"), step("end", Heard, "ordered")]
    result = run_plan(plan(*steps), prepare=prepare)
    tracks = {track: [chunk for chunk in Heard.chunks if chunk.track == track] for track in TRACKS}
    Heard.chunks.clear()
    return tracks, result, answers


COMMANDS = st.one_of(
    st.tuples(st.integers(2, PACKETS - 2), st.sampled_from(["pause", "resume"]), st.just("")),
    st.tuples(st.integers(2, PACKETS - 2), st.sampled_from(["mute", "unmute"]), st.sampled_from(TRACKS)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(COMMANDS, max_size=6))
def test_the_output_is_the_input_with_the_silenced_packets_silent_and_all_else_unchanged(commands):
    plain, _, _ = heard([])
    tracks, result, _ = heard(commands)
    flow = result.flows[0]
    silent = 0
    for track in TRACKS:
        assert [(c.start, c.frames) for c in tracks[track]] == [(c.start, c.frames) for c in plain[track]]
        values = np.concatenate([chunk.samples for chunk in tracks[track]]).reshape(-1, LENGTH)
        assert set(np.unique(values)) <= {SOUND, 0xFF}
        found = [bool(packet[0] == 0xFF) for packet in values]
        assert (values == values[:, :1]).all()  # a packet is silenced whole, or not
        paused, muted, expected, left = False, False, [], sorted(commands, key=lambda command: command[0])
        for number in range(PACKETS):
            while left and left[0][0] <= number:
                _, action, party = left.pop(0)
                paused = action == "pause" or (paused and action != "resume")
                muted = action == "mute" if party == track else muted
            expected.append(paused or muted)
        # The listener may push before or after the command within one slot: edges may differ by that packet.
        edges = {at for slot, _, _ in commands for at in (slot - 1, slot, slot + 1)}
        assert [f for at, f in enumerate(found) if at not in edges] == [
            e for at, e in enumerate(expected) if at not in edges
        ]
        silent += sum(found)
    counted = flow.stats["call"].filled.get("paused")
    assert (counted.chunks if counted else 0) == silent
    (closed,) = result.named("flow_closed")
    assert closed.data["lost"] == {}
    assert sum(end - start for _, start, end in closed.data["silenced"]) == pytest.approx(silent * 0.02, abs=0.02)


@pytest.mark.fault(82)
def test_no_packet_passes_after_the_answer():
    seen = []

    class Asking(Packets):
        async def run(self, host):
            inlet = host.accept({"call_id": "c"})
            inlet.push(Packet("agent", 0, bytes([SOUND]) * LENGTH, host.now()))
            seen.append(answer(engines[0], {"call_id": "c", "do": "pause"}))
            inlet.push(Packet("agent", 1, bytes([SOUND]) * LENGTH, host.now()))
            inlet.end("done")

    Asking.name = "asking"
    engines = []
    steps = [step("call", Asking), step("ordered", Reorder, "call"), step("end", Heard, "ordered")]
    run_plan(plan(*steps), prepare=engines.append)
    values = np.concatenate([chunk.samples for chunk in Heard.chunks])
    assert values.tolist() == [SOUND] * LENGTH + [0xFF] * LENGTH
    assert seen[0] == {"changed": True, "paused": True, "muted": [], "parties": ["agent"]}


def test_linear_audio_is_silenced_with_zeros_at_its_own_place():
    prepare, _ = acting([(10, "pause", ""), (20, "resume", "")], call_id="0")
    result = run_plan(plan(step("call", Tones, pace=True), step("end", Keep, "call")), prepare=prepare)
    (kept,) = (k for name, k in Keep.kept.items() if name.endswith("flow1"))
    chunks = [item for item in kept if not isinstance(item, str)]
    assert [chunk.start for chunk in chunks] == [160 * n for n in range(50)]
    silent = [chunk for chunk in chunks if not chunk.samples.any()]
    assert len(silent) == 10
    assert result.named("flow_closed")[0].data["silenced"] == [
        ("agent", silent[0].start / 8000, pytest.approx(silent[-1].end / 8000))
    ]


def test_nodes_behind_are_told_the_silenced_stretches():
    heard([(10, "mute", "agent"), (20, "unmute", "agent"), (30, "pause", "")])
    agent, second, third = Heard.silenced_at_flush
    assert (agent.track, {second.track, third.track}) == ("agent", set(TRACKS))
    assert agent.seconds == pytest.approx(0.2)
    assert agent.end < second.start < second.end


@pytest.mark.parametrize(
    ("action", "party", "said"),
    [
        ("mute", "bot", "the call has no party 'bot': its parties are agent and customer; pause silences all"),
        ("unmute", "bot", "the call has no party 'bot': its parties are agent and customer; pause silences all"),
        ("mute", "", "say which party to mute, such as: mute customer"),
        ("pause", "agent", "pause is for the whole call: leave out 'agent', or mute that party"),
        ("hold", "", "unknown action 'hold': choose end, pause, resume, mute or unmute"),
    ],
)
def test_a_wrong_command_is_explained_and_changes_nothing(action, party, said):
    _, result, answers = heard([(10, action, party)])
    assert answers == [{"error": said}]
    assert not result.flows[0].stats["call"].filled


def test_a_second_command_changes_nothing_and_says_so():
    commands = [(10, "pause", ""), (12, "pause", ""), (14, "resume", ""), (16, "resume", "")]
    _, result, answers = heard(commands)
    assert [each["changed"] for each in answers] == [True, False, True, False]
    assert [event.data["paused"] for event in result.named("call_silenced")] == [True, False]


def test_a_muted_party_stays_muted_when_the_call_is_resumed():
    _, _, answers = heard([(10, "mute", "agent"), (12, "pause", ""), (14, "resume", "")])
    assert answers[-1] == {"changed": True, "paused": False, "muted": ["agent"], "parties": list(TRACKS)}


def test_end_ends_the_flow_in_order_with_its_own_reason_and_a_command_after_it_finds_no_call():
    prepare, answers = acting([(10, "end", ""), (30, "pause", "")])
    steps = [step("call", Packets), step("ordered", Reorder, "call"), step("end", Heard, "ordered")]
    result = run_plan(plan(*steps), prepare=prepare)
    assert [flow.reason for flow in result.flows] == ["operator"]
    assert answers[0]["changed"]
    assert not result.named("flow_closed")[0].data["lost"]
    assert answers[1:] == [None]


@pytest.mark.fault(82)
def test_a_call_that_comes_again_is_still_paused_and_all_its_sessions_are_resumed_together():
    class Again(Packets):
        async def run(self, host):
            first = host.accept({"call_id": "c"})
            await host.sleep(0.1)
            first.end("peer_lost")
            await host.sleep(1)
            both = [host.accept({"call_id": "c"}) for _ in range(2)]
            other = host.accept({"call_id": "d"})
            for number in range(20):
                for inlet in (*both, other):
                    inlet.push(Packet("agent", number, bytes([SOUND]) * LENGTH, host.now()))
                await host.sleep(0.02)
            for inlet in (*both, other):
                inlet.end("done")

    Again.name = "again"
    prepare, _ = acting([(3, "pause", ""), (66, "resume", "")])
    result = run_plan(plan(step("call", Again), step("o", Reorder, "call"), step("end", Heard, "o")), prepare=prepare)
    silent = {flow.id[-5:]: flow.stats["call"].filled for flow in result.flows}
    assert 0 < silent["flow2"]["paused"].chunks == silent["flow3"]["paused"].chunks < 20
    assert not silent["flow4"]
    assert [event.data["paused"] for event in result.named("call_silenced")] == [True, True, True, False, False]


def joined():
    """The silenced calls of two workers."""
    one, other = SilencedCalls(), SilencedCalls()
    one.tell = lambda message: other.on_worker_message(1, message)
    return one, other


def test_the_other_workers_silence_a_call_too_also_one_that_comes_later():
    one, other = joined()
    running = other.of("c")
    one.set("c", one.of("c"), True, frozenset(["agent"]))
    assert (running.paused, running.muted) == (True, {"agent"})
    del running
    assert other.of("c").paused
    one.set("c", one.of("c"), False, frozenset())
    assert not other.of("c").active


def test_calls_without_an_id_share_nothing():
    calls = SilencedCalls()
    calls.set("", calls.of(""), True, frozenset())
    assert not calls.of("").active


def test_a_bounded_number_of_silenced_calls_is_remembered():
    calls = SilencedCalls()
    for number in range(MAX_REMEMBERED + 1):
        calls.set(str(number), calls.of(str(number)), True, frozenset())
    assert not calls.of("0").active
    assert calls.of("1").active
    assert calls.of(str(MAX_REMEMBERED)).active


def test_a_period_ends_when_something_is_heard_again():
    silencing = Silencing()
    periods = []
    for paused, muted in [(True, ""), (True, "agent"), (False, "agent"), (False, "")]:
        silencing.set(paused, frozenset(filter(None, [muted])))
        periods.append(silencing.period)
    assert periods == [0, 0, 1, 2]
