"""What top asks for, and how it finds the run again."""

import pytest

from flowcore.control.live_query import LiveQuery
from flowcore.errors import UsageError
from flowcore.top import feed as feeds
from flowcore.top.feed import Feed, Poller, Watched
from tests.support.live import PATIENCE, until
from tests.support.live_data import page, row


class Runs:
    """Runs that answer at their paths, in the place of `ask` and `running`."""

    def __init__(self, monkeypatch):
        self.answers = {}
        self.asked = []
        monkeypatch.setattr(feeds, "ask", self._ask)
        monkeypatch.setattr(feeds, "running", lambda: iter(sorted(self.answers)))

    def start(self, path, *calls, pid=1, capacity=None):
        answer = page(*calls)
        answer["processes"][0]["pid"] = pid
        self.answers[path] = {"live": answer, "live_call": {"call": row()}, "capacity": capacity}

    def _ask(self, path, request, timeout):
        self.asked.append(request["ask"])
        answer = self.answers.get(path, {}).get(request["ask"])
        if answer is None:
            raise UsageError(f"no answer at {path}: gone")
        return (answer if request["ask"] == "capacity" else {0: answer}), []


@pytest.fixture
def runs(monkeypatch):
    return Runs(monkeypatch)


def test_a_look_has_the_page_and_the_call_that_is_looked_at(runs):
    runs.start("a", row("c-7"))
    snapshot = Feed(None).look(Watched(LiveQuery(), "flow"))
    assert [call["call_id"] for call in snapshot.page["calls"]] == ["c-7"]
    assert snapshot.call == {"call": row()}
    assert Feed(None).look(Watched()).call is None


def test_the_room_is_the_sum_of_the_processes_and_its_limit_that_of_the_fullest(runs):
    capacity = {1: {"until_full": 40, "limited_by": "cpu"}, 2: {"until_full": 21, "limited_by": "open_files"}}
    runs.start("a", capacity=capacity)
    assert Feed(None).look(Watched()).room == "room for 61 more (open files)"


def test_a_run_that_does_not_know_its_room_is_not_asked_again(runs):
    runs.start("a")
    feed = Feed(None)
    assert [feed.look(Watched()).room, feed.look(Watched()).room] == ["", ""]
    assert runs.asked == ["live", "capacity", "live"]


def test_a_run_that_was_started_meanwhile_is_found_and_said_to_be_another(runs):
    runs.start("a", pid=1)
    feed = Feed(None)
    assert not feed.look(Watched()).another
    del runs.answers["a"]
    with pytest.raises(UsageError, match="gone"):
        feed.look(Watched())
    with pytest.raises(UsageError, match="no flowcore is running"):
        feed.look(Watched())
    runs.start("b", pid=2)
    assert feed.look(Watched()).another
    assert not feed.look(Watched()).another


def test_a_worker_that_is_replaced_makes_no_other_run(runs):
    runs.start("a", pid=1)
    feed = Feed("a")
    feed.look(Watched())
    runs.answers["a"]["live"]["processes"] = []
    assert not feed.look(Watched()).another
    runs.answers["a"]["live"]["processes"] = [{"pid": 1}, {"pid": 9}]
    assert not feed.look(Watched()).another


def test_a_query_that_the_run_refuses_is_an_error(runs):
    runs.answers["a"] = {"live": {"error": "wrong"}}
    with pytest.raises(UsageError, match="wrong"):
        Feed(None).look(Watched())


def test_a_poller_looks_at_what_it_was_given_last_until_it_is_stopped(runs, monkeypatch):
    monkeypatch.setattr(feeds, "INTERVAL", PATIENCE)
    runs.start("a")
    seen = []
    poller = Poller(Feed(None), seen.append, Watched())
    poller.start()
    until(lambda: len(seen) == 1)
    del runs.answers["a"]
    poller.watch(Watched(flow="f"))
    until(lambda: len(seen) == 2)
    assert (seen[1].error, seen[1].watched.flow) == ("no answer at a: gone", "f")
    poller.stop()
    poller.start()
    until(lambda: len(seen) == 3)
    poller.stop()
