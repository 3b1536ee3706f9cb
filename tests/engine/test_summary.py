from flowcore.engine.summary import MAX_FILES, Summary
from flowcore.losses import Gap


def test_holds_are_counted_and_added_up():
    summary = Summary()
    for start, seconds in ((2.0, 1.5), (10.0, 30.25)):
        summary.event("hold_ended", {"track": "agent", "start": start, "seconds": seconds})
    summary.event("sequence_restarted", {"expected": 3, "got": 9})
    assert summary.json() == {"holds": 2, "hold_seconds": 31.75, "files": []}
    assert summary.holds == [Gap("agent", 2.0, 3.5, 1.5), Gap("agent", 10.0, 40.25, 30.25)]


def test_a_call_of_many_files_names_the_last_ones():
    summary = Summary()
    for number in range(MAX_FILES + 5):
        summary.event("file_finished", {"path": f"{number}.wav"})
    assert summary.json()["files"] == [f"{number}.wav" for number in range(5, MAX_FILES + 5)]
