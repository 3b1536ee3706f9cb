"""Changes of live fields in running flows: between two chunks, in the thread of the node, and exactly."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Audio, Config, Decibels, Live, Transform, node
from flowcore.testing import run_plan, tone
from nodes.transforms.volume import Volume, ramp
from tests.engine.nodes import Keep, KeepInThread, Tones, plan, step

CHUNKS = 50
CHANGES = st.lists(
    st.tuples(st.integers(2, CHUNKS - 2), st.integers(-60, 40)), max_size=8, unique_by=lambda one: one[0]
)


@pytest.fixture(autouse=True)
def fresh():
    Keep.kept.clear()


def changed(plan, name, **fields):
    """The plan with other values of fields of one node."""
    node = plan.nodes[name]
    config = node.config.model_copy(update=fields)
    return replace(plan, nodes={**plan.nodes, name: replace(node, config=config)})


def changing(changes):
    """Let the only flow of an engine change: ``(slot, node, fields)``."""

    def prepare(engine):
        def poll():
            for slot, name, fields in changes:
                for flow in engine.flows.values():
                    if slot == engine.slots.count and not flow.ended:
                        flow.change(changed(flow.plan, name, **fields))

        engine.slots.every(poll)

    return prepare


def piecewise(levels):
    """What `Volume` should make of the tone, with the level of each chunk."""
    gains = [10 ** (level / 20) for level in levels]
    out = []
    for number, chunk in enumerate(tone(f"{CHUNKS * 20}ms")):
        before, goal = gains[max(0, number - 1)], gains[number]
        gain = goal if before == goal else ramp(before, goal, chunk.frames)
        out.append(np.clip(np.rint(chunk.samples * gain), -32768, 32767))
    return np.concatenate(out)


@pytest.mark.fault(92)
@settings(max_examples=40, deadline=None)
@given(CHANGES, st.sampled_from([Keep, KeepInThread]))
def test_random_changes_of_the_volume_give_exactly_the_piecewise_result(changes, sink):
    Keep.kept.clear()
    steps = [
        step("call", Tones, length=f"{CHUNKS * 20}ms", pace=True),
        step("volume", Volume, "call"),
        step("end", sink, "volume"),
    ]
    commands = [(slot, "volume", {"level": Decibels(level)}) for slot, level in changes]
    result = run_plan(plan(*steps), prepare=changing(commands))
    (kept,) = Keep.kept.values()
    heard = np.concatenate([chunk.samples for chunk in kept if isinstance(chunk, Audio)])
    by_slot = dict(changes)
    levels = [0]
    for slot in range(CHUNKS + 1):
        levels.append(by_slot.get(slot, levels[-1]))
    shifts = [levels[at : at + CHUNKS] for at in (0, 1)]  # the listener pushes before or after the command in a slot
    assert any(np.array_equal(heard, piecewise(shifted)) for shifted in shifts)
    assert not result.flows[0].failures
    told = result.named("flow_closed")[0].data["changed"]
    assert [fields for _, fields in told] == [("volume.level",)] * len(told)
    assert len(told) == sum(a != b for a, b in itertools.pairwise(levels))


class HookConfig(Config):
    key: Live[str] = ""
    fails: Live[bool] = False


@node("hook")
class Hook(Transform[Audio, Audio, HookConfig]):
    """Notes its configs and threads, and raises when it is told to."""

    caps = Keep.caps
    runs = "thread"
    seen: list[tuple[str, int]] = []
    threads: set[int] = set()
    numbers = itertools.count()

    def open(self, session):
        self.number = next(self.numbers)

    def process(self, chunk, emit):
        self.threads.add(threading.get_ident())
        emit(chunk)

    def on_config(self, config):
        super().on_config(config)
        self.threads.add(threading.get_ident())
        self.seen.append((config.key, self.number))
        if config.fails:
            raise ValueError("broken on purpose")


@pytest.fixture
def hooked():
    Hook.seen.clear()
    Hook.threads.clear()
    return Hook


def run_hook(changes, **options):
    steps = [
        step("call", Tones, length="2s", pace=True),
        step("hook", Hook, "call", **options),
        step("end", Keep, "hook"),
    ]
    return run_plan(plan(*steps), prepare=changing(changes))


def test_only_the_last_of_several_changes_in_a_slot_reaches_the_node(hooked):
    run_hook([(5, "hook", {"key": "a"}), (5, "hook", {"key": "b"}), (9, "hook", {"key": "c"})])
    assert [key for key, _ in hooked.seen] == ["b", "c"]


def test_the_same_config_again_is_no_change(hooked):
    result = run_hook([(5, "hook", {"key": "a"}), (9, "hook", {"key": "a"})])
    assert [key for key, _ in hooked.seen] == ["a"]
    assert [fields for _, fields in result.named("flow_closed")[0].data["changed"]] == [("hook.key",)]


@pytest.mark.fault(92)
def test_a_hook_that_raises_ends_its_branch_as_a_chunk_would(hooked):
    result = run_hook([(5, "hook", {"fails": True})])
    (failed,) = result.named("node_failed")
    assert (failed.node, str(failed.data["cause"])) == ("hook", "broken on purpose")
    assert result.flows[0].stats["hook"].dropped.total().chunks


def test_a_restarted_node_has_the_config_that_was_set_before(hooked):
    result = run_hook(
        [(5, "hook", {"fails": True}), (20, "hook", {"fails": False, "key": "late"}), (90, "hook", {"key": "last"})],
        on_error="restart",
    )
    assert len(result.named("node_failed")) == 1
    assert hooked.seen[0][0] == ""
    assert hooked.seen[-1][0] == "last"
    assert hooked.seen[-1][1] != hooked.seen[0][1]


def test_a_change_after_the_end_reaches_nothing(hooked):
    result = run_hook([(5, "hook", {"key": "a"}), (1000, "hook", {"key": "b"})])
    assert [key for key, _ in hooked.seen] == ["a"]
    assert not result.flows[0].failures


def test_a_node_knows_the_changes_on_the_way_to_it(hooked):
    found = {}

    def prepare(engine):
        changing([(5, "hook", {"key": "a"}), (9, "volume", {"level": Decibels(-6)})])(engine)
        engine.on_closed.append(
            lambda flow: found.update({n: flow.changes_until(n) for n in ("hook", "end", "volume")})
        )

    steps = [
        step("call", Tones, length="1s", pace=True),
        step("hook", Hook, "call"),
        step("end", Keep, "hook"),
        step("volume", Volume, "call"),
        step("other", KeepInThread, "volume"),
    ]
    run_plan(plan(*steps), prepare=prepare)
    fields = {name: [change.fields for change in changes] for name, changes in found.items()}
    assert fields == {"hook": [("hook.key",)], "end": [("hook.key",)], "volume": [("volume.level",)]}


@pytest.mark.fault(92)
def test_many_changes_are_bounded_in_the_end_of_the_call(hooked):
    changes = [(slot, "hook", {"key": f"{slot}-{number}"}) for slot in range(5, 90) for number in range(3)]
    told = run_hook(changes).named("flow_closed")[0].data["changed"]
    assert len(told) == 100
    assert "89-2" not in str(told)
