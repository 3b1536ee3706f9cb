"""Where the call log of a graph is, and what has to be given for it."""

from pathlib import Path

import pytest

from flowcore.cli.call_log import call_log
from flowcore.errors import UsageError
from flowcore.graph import compile_graph, load_graph

RECORD = "graphs/record.yaml"


def of(*settings, graph=RECORD, place="", personal="keep"):
    plan = compile_graph(load_graph(graph, list(settings)))
    log = call_log(plan, place, 0, personal)
    if log is not None:
        log.database.close()
    return log


def test_it_is_beside_the_recordings():
    log = of("wav.path=calls/{started:%Y}/{flow}.wav")
    assert (str(log.database), log.folder) == ("calls/calls.sqlite", Path("calls/calls.waiting"))
    assert str(of("wav.path={flow}.wav").database) == "calls.sqlite"


def test_journals_are_beside_the_recordings_where_the_database_is_another_machine():
    assert of("wav.path=calls/{flow}.wav", place="postgresql://db/calls").folder == Path("calls/calls.waiting")


def test_a_graph_that_writes_no_files_has_none_unless_asked_for():
    graph = "graphs/monitor.yaml"
    assert of(graph=graph) is None
    assert of(graph=graph, place="elsewhere/log.sqlite").folder == Path("elsewhere/calls.waiting")
    assert of(place="none") is None


def test_hashes_need_a_key(monkeypatch):
    monkeypatch.delenv("FLOWCORE_CALL_LOG_KEY", raising=False)
    with pytest.raises(UsageError, match="set FLOWCORE_CALL_LOG_KEY"):
        of(personal="hash")


def test_a_path_that_shows_what_is_hidden_is_refused():
    with pytest.raises(UsageError, match=r"the path of wav shows \{ani\}"):
        of("wav.path=calls/{ani}.wav", personal="omit")
    assert of("wav.path=calls/{call_id}.wav", personal="omit")
