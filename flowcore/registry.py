"""Finds nodes by name: those that packages bring through the entry point group ``flowcore.nodes``.

An entry point names a node class, or a package whose files are nodes: there, a file ``gate.py`` in one of the
families below holds the node ``gate``. Nothing is imported until a graph uses the node.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from flowcore.errors import FlowcoreError
from flowcore.node import Node

GROUP = "flowcore.nodes"
FAMILIES = ("sources", "transforms", "sinks")


@dataclass(frozen=True)
class Entry:
    """Where a node is found: ``module``, and ``attribute`` or the class in it that carries the node's name."""

    name: str
    module: str
    attribute: str = ""

    def load(self) -> type[Node]:
        """Import the module and return the node's class."""
        module = importlib.import_module(self.module)
        found = [getattr(module, self.attribute)] if self.attribute else list(vars(module).values())
        for cls in found:
            if isinstance(cls, type) and issubclass(cls, Node) and cls.name == self.name:
                return cls
        raise FlowcoreError(f'{self.module} holds no node "{self.name}": mark its class with @node("{self.name}")')


@cache
def available() -> Mapping[str, Entry]:
    """Every node that is installed, by name; the first entry point that brings a name keeps it."""
    found: dict[str, Entry] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        for entry in _entries(point):
            found.setdefault(entry.name, entry)
    return found


def _entries(point: importlib.metadata.EntryPoint) -> Iterator[Entry]:
    if point.attr:
        yield Entry(point.name, point.module, point.attr)
        return
    for family in FAMILIES:
        spec = find_spec(f"{point.module}.{family}")
        for file in pkgutil.iter_modules(spec.submodule_search_locations if spec else ()):
            if not file.name.startswith("_"):
                yield Entry(file.name, f"{point.module}.{family}.{file.name}")
