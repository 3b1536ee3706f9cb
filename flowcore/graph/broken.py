"""What is said of a node, or a part of one, whose code raises before there are calls: the error and its place in it."""

from __future__ import annotations

from collections.abc import Iterable

from flowcore.errors import safe_str
from flowcore.node import Node, Resource
from flowcore.registry import authors_lines, folder


def at_fault(cls: type[Node], error: BaseException) -> bool:
    """Whether the error came out of the node's own code."""
    return any(authors_lines(error, folder(cls.__module__)))


def describe_error(
    cls: type[Node | Resource], error: BaseException, secrets: Iterable[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """The error in words and the steps through the author's code; only its kind where they hold one of ``secrets``."""
    message = f"{type(error).__name__}: {safe_str(error)}"
    trace = tuple(authors_lines(error, folder(cls.__module__)))
    if any(secret in text for secret in secrets for text in (message, *trace)):
        return type(error).__name__, ()
    return message, trace
