"""Every error of flowcore, as one tree.

::

    FlowcoreError
    ├── GraphError            a graph file is wrong: carries every problem of it, with positions
    ├── UsageError            the command line is wrong
    ├── BrokenImport          code that holds nodes cannot be imported: carries its author's lines of the traceback
    ├── NameClash             two places bring a node of the same name: carries both
    ├── MissingExtra          an optional package is not installed: carries the command that installs it
    ├── CannotStart           a node cannot do its work: carries node, field and what would fix it
    ├── NodeFailed            a node raised while it worked: carries flow, node and cause
    ├── Refused               a session was not let in: carries the reason and when to try again
    ├── BadMessage            bytes from a peer are not what the protocol allows: carries the reason
    ├── Undeclared            a node emits or counts under a name that it does not declare; raised in tests only
    └── AccountingError       chunks or milliseconds are unaccounted for: a bug of the engine or of a node
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowcore.diagnostics import Problem


def safe_str(error: BaseException) -> str:
    """The text of an error of anybody's: its own code may fail at it, and that must cost nobody else anything."""
    try:
        return str(error)
    except Exception:
        return ""


class FlowcoreError(Exception):
    """The root: catch it to catch every error that flowcore raises on purpose."""


class GraphError(FlowcoreError):
    """A graph file has problems; ``problems`` holds all of them, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n\n".join(str(problem) for problem in self.problems))


class UsageError(FlowcoreError):
    """The command line asks for something that cannot be."""


class BrokenImport(FlowcoreError):
    """Code that holds nodes cannot be imported. ``trace`` has a line for each step through the author's own code."""

    def __init__(self, place: str, cause: BaseException | str, trace: Sequence[str] = ()) -> None:
        self.place = place
        self.trace = tuple(trace)
        text = cause if isinstance(cause, str) else f"{type(cause).__name__}: {safe_str(cause)}"
        super().__init__(f"{place} cannot be imported: {text}")


class NameClash(FlowcoreError):
    """Two places bring a node of the same name, so a graph that names it could mean either."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        self.places = (first, second)
        super().__init__(f'two nodes are called "{name}": one in {first}, one in {second}')


class MissingExtra(FlowcoreError):
    """``package`` is needed for ``purpose`` and not installed; extra ``extra`` brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{purpose} needs {package}: run  pip install 'flowcore[{extra}]'")


class CannotStart(FlowcoreError):
    """A node cannot do its work; the text says what is wrong and what would fix it.

    A node raises it with the field of its config that is to blame; the engine adds the node's name.
    """

    def __init__(self, message: str, *, field: str = "", node: str = "") -> None:
        self.message = message
        self.field = field
        self.node = node
        super().__init__(message)

    def __str__(self) -> str:
        place = ".".join(part for part in (self.node, self.field) if part)
        return f"{place}: {self.message}" if place else self.message


class NodeFailed(FlowcoreError):
    """Node ``node`` of flow ``flow`` raised ``cause`` while it worked."""

    def __init__(self, flow: str, node: str, cause: BaseException) -> None:
        self.flow = flow
        self.node = node
        self.cause = cause
        super().__init__(f"{node}: {safe_str(cause) or type(cause).__name__}")


class Refused(FlowcoreError):
    """A session was not let in; ``retry_after`` is in seconds, 0 when trying again is no use."""

    def __init__(self, reason: str, *, retry_after: float = 0) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(reason)


class BadMessage(FlowcoreError):
    """Bytes from a peer are not what the protocol allows; ``reason`` is a short name to count under."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class Undeclared(FlowcoreError):
    """A node emitted an event, a field of one, or counted a reason that its class does not declare."""


class AccountingError(FlowcoreError):
    """*in = out + dropped* does not hold; the text names the place and both sides."""
