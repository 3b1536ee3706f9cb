"""The graphs of docs/recordings.md work, and the page names every key of the metadata."""

import json
import re

from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.testing import NodeHarness, tone
from nodes.sinks.wav_file import WavFile
from tests.support.live import ROOT

PAGE = (ROOT / "docs" / "recordings.md").read_text()
GRAPHS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


def test_its_graphs_are_right():
    plans = [compile_graph(load_text(text, "page.yaml")) for text in GRAPHS]
    assert len(plans) == 3
    forms = {name: plan.nodes[name].given for plan in plans for name in ("wav", "mixed", "agent") if name in plan.nodes}
    assert [str(forms[name]) for name in ("wav", "mixed", "agent")] == [
        "audio mulaw 8 kHz stereo",
        "audio s16 8 kHz mono",
        "audio s16 8 kHz mono",
    ]


def test_it_names_every_key_of_the_metadata(tmp_path):
    NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(*tone("1s")).end()
    for key in json.loads((tmp_path / "x.wav.json").read_text()).keys() - {"recording"}:
        assert f"`{key}`" in PAGE
