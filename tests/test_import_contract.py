"""The import contract: no circles, no upward imports, and an engine that knows neither a node nor a vendor."""

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
GRAPH = grimp.build_graph("flowcore", "nodes")
IMPORTS = {module: GRAPH.find_modules_directly_imported_by(module) for module in GRAPH.modules}
LAYERS = (
    "cli",
    "top",
    "admin",
    "bench scenario",
    "testing",
    "workers",
    "call_log",
    "control",
    "telemetry",
    "engine",
    "graph",
    "files reference speech",
    "impairment paths registry session_text",
    "listener",
    "node",
    "resource",
    "report",
    "addresses audio call_ids diagnostics environment errors events formats live losses metrics open_files stamps "
    "tcp_proxy text tls units",
)
"""Folders and modules of flowcore, the highest first; a module imports from its own row and from the rows below."""
NODES = ("nodes.sources", "nodes.transforms", "nodes.sinks")
VENDORS = re.compile(r"ringcx|ringcentral|google|openai|moonshine|whisper|ngrok", re.IGNORECASE)


def folder(module: str) -> str:
    """The first two names of a module: a folder, or a file at the top level."""
    return ".".join(module.split(".")[:2])


def test_no_file_imports_itself_through_others():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle


def test_no_folder_imports_itself_through_others():
    folders = defaultdict(set)
    for module, imported in IMPORTS.items():
        folders[folder(module)] |= {folder(name) for name in imported} - {folder(module), "flowcore", "nodes"}
    TopologicalSorter(folders).prepare()


def test_every_folder_of_the_engine_has_its_layer():
    found = {folder(module).removeprefix("flowcore.") for module in GRAPH.modules if module.startswith("flowcore.")}
    assert found - {"templates"} == set(" ".join(LAYERS).split())


def test_no_import_runs_upwards():
    layer = {f"flowcore.{name}": number for number, names in enumerate(LAYERS) for name in names.split()}
    upwards = [
        f"{module} imports {name}"
        for module, imported in IMPORTS.items()
        for name in imported
        if layer.get(folder(name), len(LAYERS)) < layer.get(folder(module), -1)
    ]
    assert not upwards


def test_the_engine_imports_no_node():
    assert not [
        m for m, imported in IMPORTS.items() if m.startswith("flowcore") for n in imported if n.startswith("nodes")
    ]


@pytest.mark.parametrize(
    "place", ["engine", "graph", "workers", "control", "testing", "scenario", "node.py", "listener.py", "paths.py"]
)
def test_the_engine_names_no_vendor(place):
    """In its code; a docstring may show a vendor as an example."""
    path = ROOT / "flowcore" / place
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        tree = ast.parse(file.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        assert not {name for name in names if VENDORS.search(name)}, file


def test_production_code_imports_no_load_generator():
    users = {module for module, imported in IMPORTS.items() for name in imported if folder(name) == "nodes.simulators"}
    assert not {module for module in users if folder(module) != "nodes.simulators"}


def test_nodes_do_not_know_each_other():
    for module, imported in IMPORTS.items():
        if module.startswith("nodes."):
            assert not [name for name in imported if folder(name) in NODES and name not in NODES], module


def test_nodes_use_the_front_doors_of_flowcore_only():
    """The top level; commands take options and print like flowcore's, and only suites for engines use the test kit."""
    door = re.compile(r"flowcore(\.(files|control)\.\w+|\.\w+)?")
    for module, imported in IMPORTS.items():
        if module.startswith("nodes."):
            behind = {name for name in imported if name.startswith("flowcore") and not door.fullmatch(name)}
            if re.search(r"[._](commands?|tap)$", module):
                behind -= {"flowcore.cli.options", "flowcore.cli.show"}
            if ".testing." in module:
                behind = {name for name in behind if not name.startswith("flowcore.testing.")}
            else:
                behind |= imported & {"flowcore.testing"}
            assert not behind, module


def test_production_code_imports_no_test_kit():
    for module, imported in IMPORTS.items():
        if not re.match(r"flowcore\.(testing|scenario)|nodes\.speech\.testing", module):
            kit = [name for name in imported if re.match(r"flowcore\.(testing|scenario)|nodes\.speech\.testing", name)]
            virtual = {"flowcore.cli.test", "flowcore.cli.replay"}  # they run graphs on a virtual clock
            assert not kit or module in virtual, module


def test_only_screens_import_textual():
    """So that all else of `flowcore top` works without the extra."""
    users = [path for path in sorted((ROOT / "flowcore").rglob("*.py")) if "textual" in _external(path)]
    assert users
    assert all(path.stem.endswith("_screen") for path in users), users


def _external(path: Path) -> set[str]:
    """The first names of the modules that a file imports."""
    statements = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for one in statements if isinstance(one, ast.Import) for alias in one.names}
    names |= {one.module or "" for one in statements if isinstance(one, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "flowcore").rglob("*.py")) + sorted((ROOT / "nodes").rglob("*.py")), ids=str
)
def test_imports_are_absolute(path):
    for statement in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(statement, ast.ImportFrom) and statement.level), f"{path}: line {statement.lineno}"
