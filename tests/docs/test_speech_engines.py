"""The package on the page about speech engines installs, and its tests and its graph run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHECK = ("-c", "from flowcore.cli import main; main()", "check", "graph.yaml")
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def package(tmp_path):
    for name, body in BLOCK.findall((ROOT / "docs/speech-engines.md").read_text()):
        (tmp_path / name).write_text(body)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    # What `pip install -e .` leaves behind, without asking a network for a build tool.
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
        for group, named in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(points))
    return tmp_path


def run(folder, *command):
    environ = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1"}
    environ.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environ, text=True, capture_output=True, timeout=100
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_engine_of_the_page_passes_the_suite(package):
    code, said = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_notes.py")
    assert code == 0, said
    assert "4 passed" in said


def test_a_graph_finds_the_engine_by_its_entry_point_and_its_config_is_checked(package):
    assert run(package, *CHECK) == (0, "graph.yaml: ok, 4 nodes\n")
    code, said = run(package, *CHECK, "--set", "words.engine.loudnes=7")
    assert code == 2
    assert 'notes has no such field: did you mean "loudness"?' in said


def test_the_decoder_of_the_page_decodes(package):
    code, said = run(
        package, "-c", "import numpy, echo_flowcore; "
        "e = echo_flowcore.Seconds(); e.open(); assert e.decode(numpy.zeros(32000)).text == '2 seconds'; e.close()",
    )  # fmt: skip
    assert code == 0, said
