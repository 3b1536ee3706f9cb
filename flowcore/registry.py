"""Finds nodes by name: in installed packages, and in Python files that a graph imports.

A package names its nodes with entry points of the group ``flowcore.nodes``. An entry point is a node class, or a
package in which a file ``gate.py`` in one of the families below holds the node ``gate``. A package is not imported
until a graph uses the node. A Python file of a graph (`from_file`) is run when the graph is checked.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import linecache
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from pydantic import PydanticUserError

from flowcore.errors import BrokenImport, FlowcoreError, NameClash, safe_str
from flowcore.listener import Listener
from flowcore.node import Demux, Node, Sink, Transform
from flowcore.resource import Resource

GROUP = "flowcore.nodes"
FAMILIES = ("sources", "transforms", "sinks")
KINDS = (Listener, Transform, Demux, Sink)


@dataclass(frozen=True)
class Entry:
    """The place of a node: the class ``attribute`` of ``module``, or the class in it with the node's name.

    ``file`` is the graph's Python file that holds the node, empty for an installed node; ``rival`` is another place
    that has a node of this name.
    """

    name: str
    module: str
    attribute: str = ""
    file: str = ""
    rival: str = ""

    @property
    def place(self) -> str:
        """The file or module, for messages to the node's author."""
        return self.file or self.module

    def load(self) -> type[Node]:
        """Import the module and return the node's class.

        Raises `BrokenImport`, `NameClash`, or `FlowcoreError` when the module does not hold the node.
        """
        if self.rival:
            raise NameClash(self.name, self.place, self.rival)
        module = sys.modules.get(self.module) or _imported(self.module)
        found = [getattr(module, self.attribute, None)] if self.attribute else list(vars(module).values())
        for cls in found:
            if isinstance(cls, type) and issubclass(cls, Node) and cls.name == self.name:
                return cls
        raise FlowcoreError(f'{self.module} holds no node "{self.name}": mark its class with @node("{self.name}")')


@cache
def available() -> Mapping[str, Entry]:
    """Every installed node by name. A node that two packages bring cannot be loaded: its entry has a rival."""
    found: dict[str, Entry] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        for entry in _entries(point):
            first = found.setdefault(entry.name, entry)
            if (first.module, first.attribute) != (entry.module, entry.attribute):
                found[entry.name] = replace(first, rival=first.rival or entry.place)
    return found


def load_all(entries: Mapping[str, Entry]) -> tuple[list[type[Node]], dict[str, str]]:
    """Load all classes, by name, and return why some cannot be loaded: a broken package must not hide the others."""
    found: list[type[Node]] = []
    broken: dict[str, str] = {}
    for name, entry in sorted(entries.items()):
        try:
            found.append(entry.load())
        except (ImportError, FlowcoreError) as error:
            broken[name] = str(error)
    return found, broken


def _entries(point: importlib.metadata.EntryPoint) -> Iterator[Entry]:
    if point.attr:
        yield Entry(point.name, point.module, point.attr)
        return
    for family in FAMILIES:
        try:
            spec = find_spec(f"{point.module}.{family}")
        except ModuleNotFoundError:  # the entry point of a package that is missing or incomplete
            continue
        for file in pkgutil.iter_modules(spec.submodule_search_locations if spec else ()):
            if not file.name.startswith("_"):
                yield Entry(file.name, f"{point.module}.{family}.{file.name}")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a module may raise anything; the check of graphs goes on
        raise BrokenImport(name, error, tuple(authors_lines(error, folder(name)))) from error


def folder(module: str) -> Path | None:
    """The directory of a module's package, or of its file beside a graph; None if unknown."""
    loaded = sys.modules.get(module)
    if loaded is not None and loaded.__spec__ is None:  # a file beside a graph
        return Path(loaded.__file__).parent if loaded.__file__ else None
    spec = find_spec(module.partition(".")[0])
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def from_file(path: Path, source: bytes | None = None) -> list[Entry]:
    """The nodes of a Python file, in its order. Runs the file, once in a process as long as its text is the same.

    ``source`` is the content of the file, if it was read before.

    A module that a test imported from this file is used as it is. Raises `BrokenImport`, and `NameClash` when two of
    its classes have one name.
    """
    module = _run(path, source)
    found: dict[str, Entry] = {}
    for attribute, cls in vars(module).items():
        if not isinstance(cls, type) or not issubclass(cls, KINDS) or cls.__module__ != module.__name__ or not cls.name:
            continue
        if cls.name in found and found[cls.name].attribute != attribute:
            places = (f"class {found[cls.name].attribute}", f"class {attribute} of {path.name}")
            raise NameClash(cls.name, *places)
        try:
            cls.Config.model_rebuild()  # finds wrong annotations now, not when a graph uses the node
        except (PydanticUserError, NameError) as error:
            raise BrokenImport(path.name, f"{attribute}.Config: {error}".partition("\n")[0]) from error
        found[cls.name] = Entry(cls.name, module.__name__, attribute, str(path))
    if not found:
        raise BrokenImport(path.name, 'it holds no node: mark a class with @node("name")')
    return list(found.values())


def read_source(path: Path) -> bytes:
    """Return the content of a Python file. Raises `BrokenImport`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrokenImport(path.name, f"it cannot be read: {error.strerror or error}") from error


def _run(path: Path, source: bytes | None) -> ModuleType:
    same = sys.modules.get(path.stem)
    if same is not None and getattr(same, "__file__", None) == str(path):
        return same
    if source is None:
        source = read_source(path)
    # The name has a digest of the content, so a changed file is another module, and a file json.py beside a graph
    # cannot replace Python's own.
    name = f"{path.stem}-{hashlib.sha256(bytes(path) + source).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    linecache.checkcache(str(path))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # pydantic looks up names in annotations there
    try:
        exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102  # the purpose of `import`
    except (Exception, SystemExit) as error:  # as in `_imported`
        del sys.modules[name]
        raise BrokenImport(path.name, error, tuple(authors_lines(error, path.parent))) from error
    return module


def is_node_error(cls: type[Node], error: BaseException) -> bool:
    """Whether the node's own code raised ``error``, instead of the engine's."""
    return any(authors_lines(error, folder(cls.__module__)))


def describe_error(
    cls: type[Node | Resource], error: BaseException, secrets: Iterable[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """The error's text and the steps through its author's code; only its type if either holds one of ``secrets``."""
    message = f"{type(error).__name__}: {safe_str(error)}"
    trace = tuple(authors_lines(error, folder(cls.__module__)))
    if any(secret in text for secret in secrets for text in (message, *trace)):
        return type(error).__name__, ()
    return message, trace


def authors_lines(error: BaseException, folder: Path | None) -> Iterator[str]:
    """A line for each step of the traceback inside ``folder``, without flowcore, Python and libraries."""
    if isinstance(error, SyntaxError) and error.filename:
        yield f"{Path(error.filename).name}:{error.lineno}: {(error.text or '').strip()}"
    for step in traceback.extract_tb(error.__traceback__):
        file = Path(step.filename)
        if folder is not None and file.is_relative_to(folder) and "site-packages" not in file.relative_to(folder).parts:
            yield f"{file.name}:{step.lineno}, in {step.name}: {step.line}"
