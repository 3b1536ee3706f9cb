"""``flowcore new``: write a first node or graph with a test that passes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from flowcore.errors import UsageError
from flowcore.graph.imports import NAME
from flowcore.registry import available

TEMPLATES = Path(__file__).parents[1] / "templates"

new = typer.Typer(help="Write a first node or graph with a test that passes.")
Kind = Literal["transform", "sink", "listener"]
"""Kinds of node that have a template."""
Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Directory of the files.")]


@new.command()
def node(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name in graphs, and of the file.")],
    kind: Annotated[Kind, typer.Option(help="Change chunks, consume them, or be a source of calls.")] = "transform",
    folder: Folder = Path(),
) -> None:
    """Write NAME.py, a node that works, and test_NAME.py."""
    name = _legal(name)
    if name in available():
        raise UsageError(f'there is a node "{name}" in {available()[name].place}: choose another name')
    if keyword.iskeyword(name) or find_spec(name) is not None:
        raise UsageError(f"Python has a module or word {name} already: choose another name")
    camel = "".join(word.capitalize() for word in name.split("_"))
    words = {f"my_{kind}": name, f"My{kind.capitalize()}": camel}
    file, test = _write(folder, words, {f"my_{kind}.py": f"{name}.py", f"test_my_{kind}.py": f"test_{name}.py"})
    typer.echo(f"wrote {file} and {test}\n")
    missing = "" if find_spec("pytest") else "          (once: pip install pytest)"
    typer.echo(f"run its test:   python -m pytest {test}{missing}")
    typer.echo(f"in a graph:     import: [{name}.py]          (relative to the graph)")
    use = f"{{use: {name}}}" if kind == "listener" else f"{{use: {name}, from: NODE}}"
    typer.echo(f"                nodes: {{…, step: {use}}}")


@new.command()
def graph(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the file.")], folder: Folder = Path()
) -> None:
    """Write NAME.yaml, a graph that records calls, and NAME.test.yaml."""
    name = _legal(name.removesuffix(".yaml"))
    files = {"my_graph.yaml": f"{name}.yaml", "my_graph.test.yaml": f"{name}.test.yaml"}
    file, test = _write(folder, {"my_graph": name}, files)
    typer.echo(f"wrote {file} and {test}\n")
    typer.echo(f"check it:       flowcore check {file}")
    typer.echo(f"run its tests:  flowcore test {test}")
    typer.echo(f"take calls:     flowcore run {file}")


def _legal(name: str) -> str:
    """Return ``name``, or derive a legal name and print it. Raises `UsageError`."""
    if NAME.fullmatch(name):
        return name
    if "/" in name:
        raise UsageError(f'"{name}" is no name: give a directory with --dir')
    words = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    legal = re.sub("[^a-z0-9]+", "_", words).strip("_")
    if not NAME.fullmatch(legal):
        raise UsageError(f'"{name}" is no name: use a small letter, then small letters, digits and _ (64 at most)')
    typer.echo(f'the name is "{legal}": a name has only small letters, digits and _')
    return legal


def _write(folder: Path, words: Mapping[str, str], files: Mapping[str, str]) -> list[Path]:
    """Copy templates with ``words`` replaced; existing files stay as they are. Raises `UsageError`."""
    written = [folder / file for file in files.values()]
    for path in written:
        if path.exists():
            raise UsageError(f"{path} exists: choose another name, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for template, path in zip(files, written, strict=True):
            text = (TEMPLATES / template).read_text(encoding="utf-8")
            for old, other in words.items():
                text = text.replace(old, other)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from error
    return written
