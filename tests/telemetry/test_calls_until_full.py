"""What an engine measures for "calls until full", on a virtual clock, and how it adds up over processes."""

import pytest

from flowcore import Config, Resource
from flowcore.engine.engine import Engine
from flowcore.telemetry import calls_until_full
from flowcore.telemetry.calls_until_full import FULL_CPU, FULL_LOOP, MAX_ROOM, CapacityEstimate, machine_busy
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, KeepInThread, Tones, plan, step
from tests.support.live import until

SECONDS = 30


class Workers(Resource):
    """Is in use for ``share`` of the time; ``clock`` is the engine's."""

    share = 0.2
    clock = staticmethod(lambda: 0.0)

    def open(self) -> None: ...

    def load(self):
        return {"decoders": self.share * self.clock()}


class Broken(Workers):
    def load(self):
        raise ValueError("a mistake in its code")


class Decoded(Keep):
    """A sink with workers."""

    @classmethod
    def make_resource(cls, config: Config) -> Resource:
        return Workers()

    @classmethod
    def room(cls, config):
        return {"disk": 50}


class BrokenDecoded(Keep):
    """A sink whose resource raises."""

    @classmethod
    def make_resource(cls, config: Config) -> Resource:
        return Broken()


for cls in (Decoded, BrokenDecoded):
    cls.name = cls.__name__.lower()

CALL = step("call", Tones, sessions=10, pace=True, length=f"{SECONDS}s")


def estimate(monkeypatch, *steps, busy=0.0, cpu=0.0, machine=0.0, cores=4, waits_for=()):
    """The estimate near the end of ten calls; the loop, the process and the machine use these shares of the time."""
    found = []

    def prepare(engine: Engine) -> None:
        monkeypatch.setattr(Workers, "clock", staticmethod(engine.now))
        began = engine.now()
        capacity = CapacityEstimate(
            engine, lambda: cpu * (engine.now() - began), lambda: machine * (engine.now() - began), cores
        )

        def work() -> None:
            engine.slots.durations.total = busy * (engine.now() - began)  # on a virtual clock work takes no time
            if engine.now() - began > SECONDS - 1 and len(engine.flows) == 10 and not found:
                until(lambda: all(kind in engine.node_room for kind in waits_for))
                found.append(capacity.read())

        engine.slots.every(work)

    run_plan(plan(*steps), prepare=prepare, strict=False)
    return found[0]


def test_a_loop_that_works_for_a_tenth_of_the_time_with_ten_calls_has_room_for_more(monkeypatch):
    found = estimate(monkeypatch, CALL, step("wav", Keep, "call"), busy=0.1)
    assert found.room["event_loop"] == pytest.approx(10 * FULL_LOOP / 0.1 - 10, abs=2)
    assert (found.limited_by, found.until_full) == ("event_loop", found.room["event_loop"])


def test_the_idle_cores_of_the_machine_count_and_so_do_other_programs(monkeypatch):
    idle = estimate(monkeypatch, CALL, step("wav", Keep, "call"), cpu=0.1, machine=0.1).room["cpu"]
    busy = estimate(monkeypatch, CALL, step("wav", Keep, "call"), cpu=0.1, machine=3.1).room["cpu"]
    assert idle == pytest.approx((4 * FULL_CPU - 0.1) / 0.01, abs=2)
    assert busy == pytest.approx((4 * FULL_CPU - 3.1) / 0.01, abs=2)


def test_a_resource_tells_how_busy_its_workers_are(monkeypatch):
    found = estimate(monkeypatch, CALL, step("words", Decoded, "call"), busy=0.01, waits_for=["disk"])
    assert found.room["decoders"] == pytest.approx(10 / 0.2 - 10, abs=2)
    assert found.room["disk"] == 40  # room for 50, live ones included
    assert found.limited_by in ("decoders", "disk")


def test_a_resource_that_begins_again_at_0_as_after_a_reload_is_no_negative_load(monkeypatch):
    monkeypatch.setattr(Workers, "load", lambda self: {"decoders": 0.2 * (Workers.clock() % 10)})
    assert estimate(monkeypatch, CALL, step("words", Decoded, "call")).room["decoders"] == pytest.approx(40, abs=10)


def test_a_resource_that_raises_hides_no_other(monkeypatch):
    found = estimate(monkeypatch, CALL, step("words", BrokenDecoded, "call"), busy=0.1)
    assert "event_loop" in found.room
    assert "decoders" not in found.room


def test_queues_that_are_half_full_leave_no_room(monkeypatch):
    monkeypatch.setattr(calls_until_full.CapacityEstimate, "_level", lambda self: 0.5)
    found = estimate(monkeypatch, CALL, step("wav", KeepInThread, "call"))
    assert (found.until_full, found.limited_by) == (0, "queues")


def test_before_the_first_call_the_limit_and_the_open_files_are_known():
    engine = Engine(plan(CALL, step("wav", Keep, "call")), max_calls=30)
    found = CapacityEstimate(engine).read()
    assert set(found.room) == {"call_limit", "open_files"}
    assert (found.until_full, found.limited_by) == (30, "call_limit")


def test_an_engine_that_drains_takes_no_more():
    engine = Engine(plan(CALL, step("wav", Keep, "call")))
    capacity = CapacityEstimate(engine)
    engine.draining = True
    found = capacity.read()
    assert (found.until_full, found.limited_by) == (0, "stopping")
    assert all(values == [0] for values in capacity.read().samples().values())


def test_a_room_without_end_is_a_number(monkeypatch):
    assert estimate(monkeypatch, CALL, step("wav", Keep, "call"), busy=1e-9).room["event_loop"] == MAX_ROOM


def test_the_machine_tells_its_cpu_time_without_that_of_niced_processes(monkeypatch, tmp_path):
    assert machine_busy() > 0
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 900 50 8000 7 10 40 0 0 0\ncpu0 1 2 3\n")
    monkeypatch.setattr(calls_until_full, "STAT", stat)
    assert machine_busy() == pytest.approx(2.0)
    monkeypatch.setattr(calls_until_full, "STAT", tmp_path / "missing")
    assert machine_busy() is None
