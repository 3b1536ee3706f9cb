"""The rules of the house that an import statement can break."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path.relative_to(ROOT) for top in ("flowcore", "nodes") for path in (ROOT / top).rglob("*.py"))
SUPPORT = (
    "nodes.doctor",
    "nodes.audio",
    "nodes.captions",
    "nodes.net",
    "nodes.jitterbuffer",
    "nodes.recording",
    "nodes.ringcx",
    "nodes.simulators",
    "nodes.sound",
    "nodes.speech",
    "nodes.transcripts",
)
"""Packages of nodes/ that hold no nodes, and that nodes may therefore use."""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for statement in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert not statement.level, f"{path}: imports are absolute"
            found.add(statement.module or "")
            found |= {f"{statement.module}.{alias.name}" for alias in statement.names}
    return found


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "flowcore"], ids=str)
def test_the_engine_knows_no_node(path):
    assert not {name for name in imports(path) if name.split(".")[0] == "nodes"}


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "nodes"], ids=str)
def test_nodes_import_only_flowcores_front_door_and_what_holds_no_nodes(path):
    modules = imports(path)
    behind = {name for name in modules if name.startswith("flowcore.") and name.count(".") > 1}
    doors = (
        "flowcore.audio.",
        "flowcore.environment.",
        "flowcore.speech.",
        "flowcore.control.",
        "flowcore.diagnostics.",
        "flowcore.events.",
        "flowcore.files.",
    )
    if "testing" in path.parts:  # suites that engines inherit
        doors += ("flowcore.testing.", "flowcore.registry.")
    else:
        assert not {name for name in modules if "testing" in name.split(".")}
    if path.name == "commands.py":  # the commands of a node print like those of flowcore
        behind -= {name for name in behind if f"{name}.".startswith("flowcore.cli.show.")}
    assert not {name for name in behind if not name.startswith(doors) or name.count(".") > 2}
    inside = {name for name in modules if name.split(".")[0] == "nodes" and name != "nodes"}
    assert not {name for name in inside if not name.startswith(SUPPORT)}
