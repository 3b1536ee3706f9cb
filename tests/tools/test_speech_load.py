import json

import pytest

from tools import speech_load


def test_percentiles_of_lags():
    found = speech_load.lags("final", [n / 100 for n in range(100, 0, -1)])
    assert found == {"final texts": 100, "final lag": {"p50": 0.51, "p95": 0.96, "p99": 1.0}}
    assert speech_load.lags("interim", []) == {"interim texts": 0, "interim lag": {}}


def test_losses_of_all_nodes_are_summed_up():
    tally = {"chunks": 2, "seconds": 1.0}
    stats = {"nodes": {"a": {"dropped": {"overloaded": tally}}, "b": {"dropped": {"overloaded": tally, "x": tally}}}}
    assert speech_load.dropped(stats) == {"overloaded": 4, "x": 2}


@pytest.mark.slow
@pytest.mark.model
def test_a_live_run_reports_how_late_texts_come(capsys):
    speech_load.main(["--channels", "2", "--seconds", "12", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["channels"] == 2
    assert result["final texts"] >= 2
    assert result["interim texts"] >= 2
    assert 0 < result["final lag"]["p50"] < 12
    assert result["untranscribed"] == 0
    assert result["CPU of the core, %"] > 0
