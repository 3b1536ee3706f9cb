"""Runs every file and command of the newcomers' pages, in the order of the page.

In a page, a block ```` ```yaml NAME ```` or ```` ```python NAME ```` is a file. ```` ```console ```` holds commands
after ``$`` and their output: the words of each line, in this order. The real output may have other lines between;
``…`` matches anything. A line ``exit code N`` is the exit code of the command before it; the default is 0.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowcore.graph.load import load
from tests.support.ports import free_port

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("first-graph.md", "first-node.md", "first-live-call.md")
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
PORT = "3333"
COMMAND_TIMEOUT = 60  # seconds


class Reader:
    """A newcomer who follows a page in ``folder``, with listeners on ``port``."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.running = []
        self.commands = 0
        paths = (str(Path(sys.executable).parent), os.environ["PATH"])
        self.environ = {**os.environ, "PATH": os.pathsep.join(paths), "COLUMNS": "200", "NO_COLOR": "1"}
        self.environ.pop("PYTEST_ADDOPTS", None)

    def read(self, page):
        for kind, name, body in BLOCK.findall(page):
            body = body.replace(PORT, self.port)
            if kind == "console":
                for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
                    command, _, printed = part.partition("\n")
                    self.type(command, printed.splitlines())
            elif name:
                (self.folder / name).write_text(body)
        for process in self.running:
            process.communicate(timeout=COMMAND_TIMEOUT)
            assert process.returncode == 0

    def type(self, command, printed):
        self.commands += 1
        options = {"cwd": self.folder, "env": self.environ, "text": True, "stderr": subprocess.STDOUT}
        if command.endswith(" &"):
            process = subprocess.Popen(command[:-2].split(), stdout=subprocess.PIPE, **options)
            self.running.append(process)
            assert any("ws://" in line for line in process.stdout)
            return
        done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, timeout=COMMAND_TIMEOUT, **options)
        code = 0
        if printed and printed[-1].startswith("exit code "):
            code = int(printed.pop().rsplit(" ", 1)[1])
        assert done.returncode == code, f"{command}\n{done.stdout}"
        wanted = r"[\s\S]*?".join(_words(line) for line in printed if line.strip())
        assert re.search(wanted, done.stdout), f"{command} printed\n{done.stdout}\nand not\n" + "\n".join(printed)


def _words(line):
    """Return a pattern for the words of a line in their order; ``…`` matches any text within a line."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in line.split("…")]
    return ".*?".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_page_works_as_it_says(page, tmp_path):
    reader = Reader(tmp_path, str(free_port()))
    reader.read((DOCS / page).read_text())
    assert reader.commands >= 5


GRAPHS = [
    (page, name, body)
    for page in PAGES
    for kind, name, body in BLOCK.findall((DOCS / page).read_text())
    if kind == "yaml" and not name.startswith(("wrong", "broken", "party.")) and not name.endswith(".test.yaml")
]


@pytest.mark.parametrize(("page", "name", "body"), GRAPHS, ids=[name for _, name, _ in GRAPHS])
def test_graph_of_a_page_is_right(page, name, body, tmp_path):
    for _, other, text in BLOCK.findall((DOCS / page).read_text()):
        if other:
            (tmp_path / other).write_text(text)
    assert load(tmp_path / name).nodes
