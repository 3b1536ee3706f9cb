from flowcore.testing import duration, run_listener
from tests.engine.nodes import Tones


def test_each_session_has_its_chunks_and_its_end():
    sessions = run_listener(Tones, {"sessions": 2, "length": "200ms"})
    assert [received.session.attributes["call_id"] for received in sessions] == ["0", "1"]
    assert [duration(received.chunks) for received in sessions] == ["200ms", "200ms"]
    assert {received.reason for received in sessions} == {"done"}


def test_listener_that_goes_on_is_ended_after_so_many_calls():
    assert len(run_listener(Tones, {"sessions": 1, "length": "100ms", "pace": True}, calls=1)) == 1
