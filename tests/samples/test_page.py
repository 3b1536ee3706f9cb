"""docs/from-the-samples.md says what there is: its graphs compile with its settings, its options exist."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from flowcore.graph.load import load
from flowcore.graph.negotiate import compile_graph
from tests.support.live import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "from-the-samples.md").read_text()
COMMANDS = re.findall(r"^flowcore .*", PAGE, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_one(command):
    _, name, *words = shlex.split(command, comments=True)
    flowcore = str(Path(sys.executable).with_name("flowcore"))
    help = subprocess.run([flowcore, name, "--help"], capture_output=True, text=True, check=True).stdout
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", help))
    if name == "run":
        settings = [after for word, after in pairwise(words) if word == "--set"]
        assert compile_graph(load(ROOT / words[0], settings)).nodes


def test_the_page_has_commands_for_both_samples():
    assert len([command for command in COMMANDS if command.startswith("flowcore run")]) == 3


def test_settings_that_the_page_names_are_there():
    engine = ["words.engine={use: google, version: 1, credentials: key.json}"]
    assert compile_graph(load(ROOT / "graphs" / "google.yaml", engine)).nodes
    for link in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
