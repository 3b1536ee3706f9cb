"""Errors that a node's own code, or its resource's, raises before there are calls: their text and their place."""

from __future__ import annotations

from collections.abc import Iterable

from flowcore.errors import safe_str
from flowcore.node import Node, Resource
from flowcore.registry import authors_lines, folder


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
