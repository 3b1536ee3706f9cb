import wave

import numpy as np
import pytest

from flowcore import Audio, Emit, Transform, node
from flowcore.errors import AccountingError
from flowcore.node import Config
from flowcore.testing import run_graph, run_plan
from tests.engine.nodes import Keep, Tones, plan, step

GRAPH = """
flowcore: 1
nodes:
  voices: {use: wav_source, with: {path: nothing.wav, speed: 1}}
  file: {use: wav_file, from: voices, with: {path: nowhere.wav}}
"""


@node("pickpocket")
class Pickpocket(Transform[Audio, Audio, Config]):
    """Lose each chunk and report nothing."""

    balanced = True

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        pass


def test_a_graph_file_runs_with_settings_on_a_virtual_clock(tmp_path):
    (tmp_path / "graph.yaml").write_text(GRAPH)
    with wave.open(str(tmp_path / "hour.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.zeros(60 * 8000, np.int16).tobytes())
    settings = [f"voices.path={tmp_path}/hour.wav", f"file.path={tmp_path}/out.wav"]
    result = run_graph(tmp_path / "graph.yaml", settings)
    [flow] = result.flows
    assert flow.reason == "end_of_file"
    assert not flow.failures
    assert 59 < result.seconds < 62
    assert len(result.named("flow_closed")) == 1
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getnframes() == 60 * 8000


def test_counters_that_do_not_balance_are_an_error():
    with pytest.raises(AccountingError, match="node thief"):
        run_plan(plan(step("call", Tones), step("thief", Pickpocket, "call"), step("end", Keep, "thief")))
