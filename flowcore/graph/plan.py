"""The plan: a compiled graph, and everything that the engine knows of a graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from flowcore.formats import Format
from flowcore.graph.model import OnError, OnFull
from flowcore.listener import Listener
from flowcore.node import Config, Demux, Node


@dataclass(frozen=True)
class BorderPlan:
    """The bounded queue before a node: ``seconds`` of audio (one channel's time), ``chunks`` for text."""

    seconds: float
    on_full: OnFull
    chunks: int = 4096


@dataclass(frozen=True)
class PlanNode:
    """One node as it will run.

    ``inputs`` are (node, output index) pairs. ``chain`` numbers the fused chains from 0, the listener's;
    a node with a ``border`` is the first of its chain. ``inserted`` marks converters that negotiation put in.
    """

    name: str
    cls: type[Node]
    config: Config
    inputs: tuple[tuple[str, int], ...]
    given: Format | None
    gives: tuple[Format, ...]
    border: BorderPlan | None
    on_error: OnError
    chain: int
    inserted: bool = False

    @property
    def channels_in(self) -> int:
        """Channels in each chunk of the input."""
        return _channels(self.given)

    @property
    def channels_out(self) -> int:
        """Channels in each chunk of the outputs."""
        return _channels(self.gives[0] if self.gives else None)


@dataclass(frozen=True)
class PlanListener(PlanNode):
    """The node where the graph's flows begin."""

    cls: type[Listener[Any, Any]]


@dataclass(frozen=True)
class Plan:
    """A graph ready to run: its name, and its nodes in topological order, the listener first.

    ``sources`` are the texts of the graph's file, its sub-graphs and its Python files, by path; ``settings`` won over
    them.
    """

    name: str
    nodes: Mapping[str, PlanNode]
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the sources and the settings; that of its file for a graph in one file without settings."""
        texts = [*self.sources.values(), *self.settings]
        content = texts[0] if len(texts) == 1 else json.dumps(texts)
        return hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()

    @property
    def listener(self) -> PlanListener:
        first = next(iter(self.nodes.values()))
        assert isinstance(first, PlanListener)  # noqa: S101  # as every checked graph begins
        return first

    def way_to(self, node: str) -> dict[str, frozenset[str] | None]:
        """Return a node and all nodes before it, with the tracks whose audio comes from each to the node; None: all."""
        way: dict[str, frozenset[str] | None] = {node: None}
        for name in reversed(list(self.nodes)):
            for source, output in self.nodes[name].inputs if name in way else ():
                tracks, cls = way[name], self.nodes[source].cls
                if issubclass(cls, Demux) and cls.splits_tracks:
                    track = frozenset({cls.outputs[output]})
                    tracks = track if tracks is None else tracks & track
                known = way.get(source, frozenset())
                way[source] = None if tracks is None or known is None else tracks | known
        return way

    def with_class(self, node: str, cls: type[Node]) -> Plan:
        """The plan in which ``node`` is of another class."""
        return replace(self, nodes={**self.nodes, node: replace(self.nodes[node], cls=cls)})


def _channels(form: Format | None) -> int:
    return 2 if form is not None and form.layout == "stereo" else 1
