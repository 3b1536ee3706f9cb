"""The errors of flowcore, as one tree.

::

    FlowcoreError
    ├── GraphError        a graph file has problems: carries all of them, with positions
    ├── UsageError        the command line is wrong
    ├── BrokenImport      code with nodes cannot be imported: carries the lines of the traceback in that code
    ├── NameClash         two places declare a node of the same name: carries both
    ├── MissingExtra      an optional package is not installed: carries the extra that installs it
    ├── CannotStart       a node cannot work: carries the node, the field and advice
    ├── NodeFailed        a node raised during a flow: carries the flow, the node and the cause
    ├── Refused           a session was not let in: carries the reason and when to try again
    ├── BadMessage        bytes from a peer break the protocol: carries the reason
    ├── Undeclared        a node emits or counts an undeclared name; raised in tests only
    └── AccountingError   chunks or milliseconds are unaccounted for: a bug of the engine or of a node

Speech engines have errors of their own: see `flowcore.speech`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowcore.diagnostics import Problem


def safe_str(error: BaseException) -> str:
    """Return the text of an error; empty when the error's own ``__str__`` raises."""
    try:
        return str(error)
    except Exception:  # the `__str__` of a node's own error may raise anything
        return ""


def system_message(error: OSError) -> str:
    """Return the system's message without its number: ``No space left on device: /data/a.wav``."""
    if not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror


class FlowcoreError(Exception):
    """Base of every error that flowcore raises on purpose."""


class GraphError(FlowcoreError):
    """A graph file has problems; ``problems`` holds all of them, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n\n".join(str(problem) for problem in self.problems))


class UsageError(FlowcoreError):
    """The command line asks for something impossible."""


class BrokenImport(FlowcoreError):
    """Code with nodes cannot be imported. ``trace`` has a line for each step through the author's own code."""

    def __init__(self, place: str, cause: BaseException | str, trace: Sequence[str] = ()) -> None:
        self.place = place
        self.trace = tuple(trace)
        text = cause if isinstance(cause, str) else f"{type(cause).__name__}: {safe_str(cause)}"
        super().__init__(f"{place} cannot be imported: {text}")


class NameClash(FlowcoreError):
    """Two places declare a node of the same name, so a graph could mean either."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        self.places = (first, second)
        super().__init__(f'two nodes are called "{name}": one in {first}, one in {second}')


class MissingExtra(FlowcoreError):
    """``purpose`` needs ``package``, which is not installed; the extra ``extra`` installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{purpose} needs {package}: run  pip install 'flowcore[{extra}]'")


class CannotStart(FlowcoreError):
    """A node cannot work; the text says what is wrong and what would fix it.

    The node names the config field that is wrong, if any; the engine adds the node's name.
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
    """Node ``node`` of flow ``flow`` raised ``cause``."""

    def __init__(self, flow: str, node: str, cause: BaseException) -> None:
        self.flow = flow
        self.node = node
        self.cause = cause
        super().__init__(f"{node}: {safe_str(cause) or type(cause).__name__}")


class Refused(FlowcoreError):
    """A session was not let in. ``retry_after`` is in seconds; 0 means that another try is of no use."""

    def __init__(self, reason: str, *, retry_after: float = 0) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(reason)


class BadMessage(FlowcoreError):
    """Bytes from a peer break the protocol; ``reason`` is a short name for the counters."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class Undeclared(FlowcoreError):
    """A node emitted an event, a field of one, or counted a reason that its class does not declare."""


class AccountingError(FlowcoreError):
    """*in = out + dropped* does not hold; the text names the place and both sides."""
