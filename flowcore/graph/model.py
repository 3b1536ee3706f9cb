"""A checked graph: its nodes with their classes, configs and positions in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from flowcore.diagnostics import Position
from flowcore.node import Config, Node
from flowcore.units import Duration

OnFull = Literal["block", "drop_oldest", "drop_newest", "fail"]
OnError = Literal["fail_branch", "fail_flow", "restart"]


def _not_zero(length: Duration) -> Duration:
    if not length:
        raise ValueError(
            "a queue of length zero drops everything, or always blocks: give it the length of a few chunks"
        )
    return length


class QueueConfig(BaseModel):
    """The key ``queue`` of a node: the border before it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max: Annotated[Duration, AfterValidator(_not_zero)] | None = None
    """Audio that the queue holds at most; when left out, the kind of node decides."""

    on_full: OnFull | None = None
    """What happens when the queue is full; when left out, the kinds of node and listener decide."""


@dataclass(frozen=True)
class Input:
    """One upstream port: names of node and port (empty for a node with one output), and their position."""

    node: str
    port: str
    at: Position


@dataclass(frozen=True)
class GraphNode:
    """One named step of the graph. ``places`` maps ``use``, ``from``, ``with.window``, … to their positions."""

    name: str
    cls: type[Node]
    config: Config
    inputs: tuple[Input, ...]
    queue: QueueConfig | None
    on_error: OnError | None
    at: Position
    places: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A graph file without problems: nodes in topological order, the listener first.

    Nodes of a sub-graph that the graph uses as ``agent`` are called ``agent.speech``; ``subgraphs`` has the text
    of each sub-graph by its path, ``imports`` that of each Python file. ``settings`` are those that win over the file.
    ``secrets`` are values from the environment, which no message may show.
    """

    path: str
    source: str
    nodes: Mapping[str, GraphNode]
    subgraphs: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
