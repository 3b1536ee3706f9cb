"""The tests of graphs/record.yaml over the other transport: the same faults, the same files, one word apart."""

from pathlib import Path

import pytest
import yaml

from flowcore.scenario.load import load
from flowcore.scenario.run import run
from tests.support.phone_grpc import over_grpc

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "graphs" / "tests" / "record.yaml").read_text()
APART = {
    # Messages are longer, so there are fewer of them.
    "both_parties_are_recorded_in_stereo": [("in: 200,", "in: 40,")],
    "three_calls_at_once_have_three_files": [("out: 300", "out: 60")],
    "duplicate_packets_are_dropped_once": [("duplicate: 20", "duplicate: 4")],
    "a_reset_call_keeps_its_audio": [("seconds: 1.48", "seconds: 1.4")],
    # Its time comes in steps of a message, and the end is among what is dropped.
    "a_slow_disk_drops_the_audio_beyond_its_queue": [
        ("queue_full: 1s", "queue_full: 1.2s"),
        ("seconds: 6}", "seconds: 5.8}"),
    ],
}
OTHER = {"garbage_in_mid_call_is_counted_and_harms_nothing", "a_connection_that_never_starts_is_no_call"}
"""They write messages of the WebSocket transport: tests/nodes/ringcx/test_dialog_state.py has theirs."""
NAMES = sorted(set(yaml.safe_load(TEXT)["tests"]) - OTHER)


@pytest.mark.parametrize("name", NAMES)
def test_graph(name, tmp_path):
    text = TEXT.replace("graph: ../record.yaml", f"graph: {over_grpc(tmp_path, 'record')}.yaml")
    for mine, theirs in APART.get(name, ()):
        assert mine in text
        text = text.replace(mine, theirs)
    (tmp_path / "record.test.yaml").write_text(text)
    (scenario,) = (one for one in load(tmp_path / "record.test.yaml") if one.name == name)
    assert run(scenario).differences == ()
