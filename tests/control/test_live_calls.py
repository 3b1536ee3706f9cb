"""Live data of an engine on a virtual clock: what a client sees of calls, from look to look, and what is left of it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowcore import Audio, Config, Emit, Reason, Transform
from flowcore.control.handler import engine_handler
from flowcore.control.live_calls import LiveCalls
from flowcore.control.live_query import LiveQuery
from flowcore.control.run_live import RunLive
from flowcore.errors import UsageError
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, KeepInThread, Tones, plan, step


class LossyConfig(Config):
    call: str = "1"
    """The call that loses audio."""
    at: int = 70
    """The first of the five chunks that are lost."""


class Lossy(Transform[Audio, Audio, LossyConfig]):
    """Loses 100 ms of one call."""

    caps = Keep.caps
    reasons = (Reason("eaten", "Lost."),)

    def open(self, session):
        self.loses = session.attributes["call_id"] == self.config.call
        self.count = 0

    def process(self, chunk: Audio, emit: Emit[Audio]):
        self.count += 1
        if self.loses and 0 < self.count - self.config.at <= 5:
            self.report.dropped("eaten", chunk.seconds)
            self.report.gap("eaten", chunk.track, chunk.start / chunk.rate, chunk.end / chunk.rate)
        else:
            emit(chunk)


Lossy.name = "lossy"


def watched(looks, *steps, every=1.0, **options):
    """Call ``looks(engine, ask)`` every so many seconds of a run; ``ask`` answers a request as a process does."""

    def prepare(engine):
        handlers = {1: engine_handler(engine)}
        run = RunLive(engine, handlers, 2000)
        due = [engine.now() + every]

        def ask(**request):
            name = request.setdefault("ask", "live")
            answer = {"live": run.page, "live_call": run.call}.get(name) or handlers[1]
            with ThreadPoolExecutor(1) as thread:  # the engine's loop is in this slot, so another one asks
                return thread.submit(asyncio.run, answer(request)).result()

        def poll():
            if engine.now() >= due[0]:
                due[0] += every
                looks(engine, ask)

        engine.slots.every(poll)

    return run_plan(plan(*steps), prepare=prepare, **options)


def calls_of(*steps, every=1.0, **request):
    """The rows of each look, by call id."""
    found = []
    watched(lambda engine, ask: found.append({c["call_id"]: c for c in ask(**request)["calls"]}), *steps, every=every)
    return found


def tones(**config):
    return step("call", Tones, pace=True, **config)


SINKS = (step("loss", Lossy, "call"), step("wav", KeepInThread, "loss"))


def test_a_row_says_what_a_call_does_and_where_its_audio_waits():
    row = calls_of(tones(length="3s"), *SINKS)[1]["0"]
    assert (row["state"], row["worker"], row["on_hold"], row["paused"], row["failed"]) == (
        "running",
        1,
        False,
        False,
        [],
    )
    assert row["age_s"] == pytest.approx(2.0, abs=0.1)
    assert row["worst_queue"].keys() == {"node", "ms", "limit_ms", "fullness"}
    assert row["worst_queue"]["node"] == "wav"
    assert 0 < row["latency_ms"] <= row["delay_ms"] + 1 <= 50


def test_levels_are_there_from_the_second_look_on():
    first, second, *_ = calls_of(tones(length="4s"), *SINKS, every=0.5)
    assert first["0"]["levels"] == {"agent": None}
    assert second["0"]["levels"] == {"agent": -9.0}


def test_without_levels_nothing_is_measured():
    rows = calls_of(tones(length="3s"), *SINKS, levels=False)
    assert [look["0"]["levels"] for look in rows if look] == [{}] * len([look for look in rows if look])


def test_a_call_that_nobody_watches_any_more_has_no_probe():
    def looks(engine, ask):
        flow = next(iter(engine.flows.values()))
        listener = flow.runs["call"]
        before.append((flow._put, listener._active_probes))
        if len(before) == 1:
            live.append(LiveCalls(engine))
            assert live[0].rows([flow.id], levels=True)
        elif len(before) == 2:
            assert len(listener._active_probes) == 1
            assert not live[0]._levels.expire(float("inf"))

    before, live = [], []
    watched(looks, tones(length="3.5s"), *SINKS)
    assert before[0] == before[2]
    assert before[0] != before[1]


def test_recent_losses_are_those_of_the_last_ten_seconds():
    rows = [look["1"] for look in calls_of(tones(length="30s", sessions=2), *SINKS) if "1" in look]
    assert [row["lost_ms"] for row in rows[2:]] == [100] * len(rows[2:])
    assert rows[5]["lost_recent_ms"] == 100
    assert rows[20]["lost_recent_ms"] == 0
    assert rows[20]["lost"] == {"loss": {"eaten": {"chunks": 5, "ms": 100.0}}}


def test_the_first_look_knows_of_no_recent_loss():
    looks = calls_of(tones(length="5s"), step("loss", Lossy, "call", call="0"), step("wav", Keep, "loss"), every=3.0)
    assert (looks[0]["0"]["lost_ms"], looks[0]["0"]["lost_recent_ms"]) == (100, 0)


def test_a_call_without_packets_is_on_hold_until_they_come_again():
    rows = [look["0"] for look in calls_of(tones(length="8s", hold="10s"), *SINKS) if look]
    held = [row["on_hold"] for row in rows]
    assert not any(held[:5])
    assert all(held[7:13])
    assert not any(held[15:])


def pages(request, *steps, at=3, seconds="5s", **config):
    found = []
    watched(
        lambda engine, ask: found.append(ask(**request)),
        *(tones(length=seconds, sessions=4, **config), *(steps or SINKS)),
    )
    return found[at - 1]


def ids(page):
    return [call["call_id"] for call in page["calls"]]


def test_calls_with_trouble_come_first():
    failing = step("wav", Keep, "loss", fail_at=60, key="trouble")
    assert ids(pages({}, *SINKS)) == ["1", "0", "2", "3"]
    assert ids(pages({"sort": "oldest"})) == ["0", "1", "2", "3"]
    assert ids(pages({"sort": "id", "limit": 2, "offset": 1})) == ["1", "2"]
    assert ids(pages({"sort": "lost", "limit": 1})) == ["1"]
    row = pages({}, step("loss", Lossy, "call"), failing, step("two", Keep, "loss"))["calls"][0]
    assert row["failed"] == ["wav"]


def test_a_page_is_cut_from_the_calls_that_match():
    page = pages({"match": "flow"})
    assert (page["matched"], len(page["calls"])) == (4, 4)
    page = pages({"match": "FLOW3", "limit": 1})
    assert (page["matched"], ids(page)) == (1, ["2"])
    assert pages({"match": "nobody"})["calls"] == []
    assert pages({"offset": 4})["calls"] == []


def test_a_page_has_the_figures_of_run_and_process():
    page = pages({"nodes": True, "events": 3})
    run, (process,) = page["run"], page["processes"]
    assert (run["calls"], run["limit"], run["started"], run["ended"], run["lost_ms"]) == (4, 2000, 4, 0, 100)
    assert run["versions"] == {run["version"]: 4}
    assert (process["worker"], process["calls"], process["not_ready"], process["slot_ms"]) == (1, 4, "", 20.0)
    assert process["cpu"] >= 0
    nodes = {node["name"]: node for node in page["nodes"]}
    assert list(nodes) == ["call", "loss", "wav"]
    assert nodes["loss"]["in"]["ms"] - nodes["loss"]["out"]["ms"] == nodes["loss"]["lost_ms"] == 100
    assert nodes["wav"]["queue"]["limit_ms"] > nodes["wav"]["queue"]["worst_ms"]
    assert [event["event"] for event in page["events"]] == ["flow_opened"] * 3


@pytest.mark.parametrize(
    "request_", [{"limit": 201}, {"limit": 0}, {"offset": -1}, {"sort": "x"}, {"match": 3}, {"events": 101}]
)
def test_a_wrong_query_is_refused_in_words(request_):
    with pytest.raises(UsageError, match=next(iter(request_))):
        LiveQuery.parse(request_)
    assert list(pages(request_)) == ["error"]


def test_a_query_becomes_the_request_that_it_is_read_from():
    query = LiveQuery(sort="queue", limit=7, match="x", levels=False, events=5)
    assert LiveQuery.parse(query.request()) == query


def test_one_call_is_shown_node_by_node_with_its_timeline():
    found = []

    def looks(engine, ask):
        flow = next(iter(engine.flows))
        found.append(ask(ask="live_call", flow=flow))

    failing = step("other", Keep, "call", fail_at=10, key="one")
    watched(looks, tones(length="6s", hold="2s"), step("loss", Lossy, "call", call="0"), *SINKS[1:], failing)
    shown = found[-1]
    nodes = {node["name"]: node for node in shown["nodes"]}
    assert list(nodes) == ["call", "loss", "wav", "other"]
    assert (nodes["loss"]["inputs"], nodes["loss"]["dropped"]) == (["call"], {"eaten": {"chunks": 5, "ms": 100.0}})
    assert (nodes["other"]["state"], nodes["other"]["error"]) == ("failed", "RuntimeError: broken in work")
    assert (nodes["call"]["queue"], nodes["wav"]["queue"]["node"]) == (None, "wav")
    timeline = shown["timeline"]
    (gap,) = (gap for gap in timeline["gaps"] if gap["node"] == "loss")
    assert (gap["start"], gap["end"], gap["ms"]) == (1.4, 1.5, 100.0)
    assert (gap["node"], gap["reason"], gap["lost"]) == ("loss", "eaten", True)
    assert timeline["talk_since_s"] == pytest.approx(1.0, abs=0.1)
    assert [round(talk["end"] - talk["start"]) for talk in timeline["talk"]] == [5]
    assert [event["event"] for event in shown["events"]][:1] == ["flow_opened"]


def test_a_call_that_is_not_here_has_no_answer():
    found = []
    watched(lambda engine, ask: found.append(ask(ask="live_call", flow="gone")), tones(length="2s"), *SINKS)
    assert found == [None] * len(found)
