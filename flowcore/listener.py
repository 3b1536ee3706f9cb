"""The contract between a listener and the engine, its host."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol

from flowcore.formats import Format
from flowcore.metrics import Histogram, Metric
from flowcore.node import ConfigT, Node, Out
from flowcore.report import Report
from flowcore.resource import Resource


class Inlet(Protocol):
    """A listener's end of one flow. All calls are made in the event loop's thread."""

    @property
    def flow(self) -> str:
        """The engine's name for the flow."""

    @property
    def report(self) -> Report:
        """Takes the listener's losses and events of this session."""

    @property
    def paused(self) -> bool:
        """True while the listener must not read: a border whose policy is ``block`` is full."""

    @property
    def ended(self) -> bool:
        """True once the flow takes no more chunks; the listener hangs up."""

    @property
    def reason(self) -> str:
        """The reason of the end; empty before."""

    def silences(self, track: str) -> bool:
        """Return whether an operator keeps this party from the graph now: its chunks become silence."""

    def push(self, chunk: Any, /) -> None:
        """Run one chunk through the flow. Never raises: a failing node ends its branch or its flow."""

    def end(self, reason: str) -> None:
        """End the flow, which drains. A second call does nothing."""


class ConnectionCounter(Protocol):
    """Counts the connections of each address, in all processes of a run together."""

    def count(self, address: str) -> int:
        """Return the number of open connections."""

    def add(self, address: str) -> None:
        """Count a connection that this process has opened."""

    def remove(self, address: str) -> None:
        """Count the end of a connection that was added."""


class Host(Protocol):
    """The engine, as a listener sees it."""

    @property
    def report(self) -> Report:
        """Takes the listener's losses and events outside of sessions."""

    @property
    def draining(self) -> bool:
        """True once the process was asked to stop and takes no new sessions."""

    @property
    def objection(self) -> str:
        """The reason for which `accept` would refuse a session now, such as ``stopping``; empty if it would not."""

    @property
    def obstacle(self) -> str:
        """The reason why a node of the graph could not do its work for a new flow, as far as known; or nothing."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""

    async def sleep(self, seconds: float) -> None:
        """Wait on the engine's clock."""

    async def slot(self) -> None:
        """Wait for the next slot."""

    def every_slot(self, poll: Callable[[], None]) -> Callable[[], None]:
        """Call ``poll`` once a slot (20 ms by default), in the event loop's thread; returns what cancels it."""

    def listen(self, address: str, port: int) -> socket.socket:
        """Return a non-blocking listening socket, which several processes may share. Raises `CannotStart`."""

    def room(self) -> int:
        """Return the number of connections to accept in this slot at most, so that all processes get their share."""

    @property
    def connections(self) -> ConnectionCounter:
        """The connections of each address, for limits over all processes."""

    @property
    def public(self) -> str:
        """The address of the proxy or tunnel in front of this process, as the user gave it; empty for none."""

    def resources(self) -> Sequence[Resource]:
        """Return the opened resources of the graph's nodes; a listener may serve some of them."""

    def announce(self, what: str, address: str) -> None:
        """Announce the address of a protocol, to be pasted, as seen through ``public``."""

    def offer(self, what: str, address: str) -> None:
        """Announce the address of a web page, as seen through ``public``."""

    def admit(self, address: str = "") -> None:
        """Raise `Refused` if a session would be refused now; call it before the answer to a peer.

        ``address`` of the peer is for the log.
        """

    def accept(self, attributes: Mapping[str, str], address: str = "") -> Inlet:
        """Start a flow for a session. Raises `Refused` when the process drains or is full."""


@dataclass(frozen=True)
class ListenerTools:
    """Modules that take the place of a listener's peers, and the settings that go with them.

    Settings are values of the listener's config, written as in a graph.
    """

    load_generator: str = ""
    """Module with which ``flowcore bench`` plays many peers at real-time pace: docs/decisions/0007."""
    load_generator_settings: Mapping[str, str] = field(default_factory=dict)
    """Settings with which the listener admits the load generator."""
    tunnel_settings: Mapping[str, str] = field(default_factory=dict)
    """Settings with which the listener sees a caller's own address behind a tunnel that ends on this machine."""
    stand_in: str = ""
    """Module that replaces the listener's connections in ``flowcore test``: see `flowcore.scenario.standin`."""
    player: str = ""
    """Module that plays a recorded session for ``flowcore replay``: see `flowcore.scenario.replay`."""


class Listener(Node[ConfigT], ABC, Generic[Out, ConfigT]):
    """Accepts sessions and pushes their chunks into flows. The only async kind of node."""

    live: ClassVar[bool] = True
    """True: sessions have their own pace (a phone call) and cannot wait for a slow node, as a file can."""
    attributes: ClassVar[Mapping[str, str]] = {}
    """The attributes of its sessions, with their meaning; path templates may use them."""
    call_ids: ClassVar[Sequence[str]] = ("call_id",)
    """The attributes by which people ask for a call, such as its phone numbers: see `flowcore.call_ids`."""
    personal: ClassVar[Sequence[str]] = ()
    """Those of ``call_ids`` that identify a person, such as a phone number: the call log can hash or omit them."""
    hands_over: ClassVar[bool] = False
    """Whether `leave_port` and `expecting` let another process take the port over (``flowcore run --takeover``)."""
    tools: ClassVar[ListenerTools] = ListenerTools()
    """The modules and settings that ``flowcore bench``, ``flowcore test`` and ``flowcore run --tunnel`` use."""

    @classmethod
    @abstractmethod
    def gives(cls, config: ConfigT) -> Format:
        """Return the format of the pushed chunks."""

    @classmethod
    def listens(cls, config: ConfigT) -> Sequence[tuple[str, int]]:
        """Return the addresses and ports that ``run`` passes to `Host.listen`, so that workers can share them."""
        return ()

    def measure(self) -> Mapping[Metric, float | Histogram]:
        """Return the present values of the metrics that the class declares. From any thread; never waits."""
        return {}

    def leave_port(self) -> None:
        """Close the sockets of `Host.listen`: another process accepts connections now. Sessions go on."""

    @property
    def expecting(self) -> bool:
        """Whether a session may still come on a connection that is open, after `leave_port`."""
        return False

    def reload(self) -> Sequence[Path]:
        """Read files such as a certificate again, while the listener runs. Sessions go on.

        Returns the paths of the files. Raises `CannotStart` for a wrong file; the listener goes on with the old one.
        """
        return ()

    @abstractmethod
    async def run(self, host: Host) -> None:
        """Accept sessions until cancelled, or return after the last one. Raises `CannotStart`."""
