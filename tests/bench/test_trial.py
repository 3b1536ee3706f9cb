"""A trial is a real receiver and real callers in processes of their own; a broken one says why."""

from pathlib import Path

import pytest

from flowcore.bench.trial import Cores, TrialFailed, trial
from tests.bench.calls import LOAD_GENERATOR, RECORD, lost, receive


@pytest.mark.slow
def test_all_that_is_sent_arrives_and_has_an_age() -> None:
    done = receive(RECORD, 5, 3.0, probe=True, together=False)
    assert lost(done) == []
    assert done.load["messages"] == done.report["packets"] == 5 * 3 * 100
    assert len(done.ages) == 5 * 3 * 50 / 10
    assert 0 < done.age_ms(0.5) <= done.age_ms(0.99)
    assert done.cpu > 0
    assert done.resident > 1e6


@pytest.mark.slow
def test_a_receiver_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrialFailed, match="cannot write to"):
        trial(RECORD, ["call.port=0", f"wav.path={tmp_path}/file/x.wav"], LOAD_GENERATOR, 1, 3.0, Cores.share(1))
