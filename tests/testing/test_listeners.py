from flowcore.testing import duration, run_listener
from tests.engine.nodes import Tones


def test_hear_gives_each_session_with_its_chunks_and_its_end():
    sessions = run_listener(Tones, {"sessions": 2, "length": "200ms"})
    assert [heard.session.attributes["call_id"] for heard in sessions] == ["0", "1"]
    assert [duration(heard.chunks) for heard in sessions] == ["200ms", "200ms"]
    assert {heard.reason for heard in sessions} == {"done"}


def test_listener_that_goes_on_is_ended_after_so_many_calls():
    assert len(run_listener(Tones, {"sessions": 1, "length": "100ms", "pace": True}, calls=1)) == 1
