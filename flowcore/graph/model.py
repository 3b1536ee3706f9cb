"""A checked graph: the nodes that a file names, with their classes, configs and places in the file."""

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


def _holds_something(length: Duration) -> Duration:
    if not length:
        raise ValueError("a queue of no length would drop all, or always block: give it a few chunks' length")
    return length


class QueueConfig(BaseModel):
    """The key ``queue`` of a node: the border before it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max: Annotated[Duration, AfterValidator(_holds_something)] | None = None
    """How much audio the border holds at most; picked by the kind of node when left out."""

    on_full: OnFull | None = None
    """What happens when it is full; picked by the kind of node and listener when left out."""


@dataclass(frozen=True)
class Input:
    """One upstream port: node and port name (empty for a node with one output), and where the file says so."""

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
    of each sub-graph by its path; ``secrets`` are what came from the environment, which no message may hold.
    """

    path: str
    source: str
    nodes: Mapping[str, GraphNode]
    subgraphs: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
