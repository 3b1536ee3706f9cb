import weakref

from flowcore.control.recent_events import MAX_KEPT, RecentEvents
from flowcore.engine.bus import Bus


def test_the_latest_events_of_all_calls_or_of_one():
    bus = Bus()
    recent = RecentEvents(bus)
    for number in range(MAX_KEPT + 10):
        bus.emit("flow_opened", f"flow{number % 2}", call_id=str(number))
    bus.deliver()
    numbers = [record["call_id"] for record in recent.latest(3)]
    assert numbers == [str(MAX_KEPT + 7), str(MAX_KEPT + 8), str(MAX_KEPT + 9)]
    assert {record["flow"] for record in recent.latest(5, "flow1")} == {"flow1"}
    assert len(recent.latest(2 * MAX_KEPT)) == MAX_KEPT
    assert recent.latest(0) == []


class Broken(Exception):
    pass


def test_an_error_is_kept_as_text_so_that_its_traceback_keeps_no_call_alive():
    bus = Bus()
    recent = RecentEvents(bus)
    error = Broken("broken")
    held = weakref.ref(error)
    bus.emit("node_failed", "flow", "wav", cause=error, policy="fail_branch")
    bus.deliver()
    del error
    assert held() is None
    (record,) = recent.latest(1, "flow")
    assert (record["event"], record["node"], record["cause"]) == ("node_failed", "wav", "broken")
