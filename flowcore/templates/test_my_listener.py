from my_listener import MyListener

from flowcore.testing import duration, run_listener


def test_my_listener_plays_calls_one_after_another():
    calls = run_listener(MyListener, {"calls": 2, "length": "300ms"})
    assert [call.session.attributes["call_id"] for call in calls] == ["1", "2"]
    assert [duration(call.chunks) for call in calls] == ["300ms", "300ms"]
    assert [call.reason for call in calls] == ["done", "done"]
