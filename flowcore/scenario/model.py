"""The keys of a test file. The text under a field is its reference."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowcore.testing.faults import Moment
from flowcore.units import Decibels, Duration, Rate

Track = Literal["agent", "customer"]
Amount = int | Duration | Literal["any"]
"""Chunks as a number, audio as a duration, or ``any`` if the machine's speed decides."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class _OneOf(_Model):
    """A mapping with exactly one of its keys, beside those of ``others``."""

    others: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _one(self) -> _OneOf:
        choices = [name for name in type(self).model_fields if name not in self.others]
        if sum(getattr(self, name) is not None for name in choices) != 1:
            raise ValueError(f"give exactly one of {', '.join(choices)}")
        return self


class _Period(_Model):
    """A part of a call."""

    at: Duration
    """Beginning, from the start of the call."""

    length: Duration
    """Duration."""


class Piece(_OneOf):
    """A piece of one party's sound."""

    others = ("hertz",)

    tone: Duration | None = None
    """Length of a sine of ``hertz``."""

    silence: Duration | None = None
    """Length of digital silence."""

    wav: str | None = None
    """Path of a mono WAV file with 16 bits, relative to the test file; any rate."""

    hertz: float = Field(440.0, gt=0)
    """Frequency of a tone in Hz."""


class Message(_Model):
    """One message of a peer, in the listener's protocol."""

    at: Duration
    """Time at which the message arrives, from the beginning of the call."""

    send: str | dict[str, Any] | list[Any]
    """The message: text as written, other values as JSON."""


class Input(_Model):
    """Input that replaces the listener's connections or files."""

    agent: list[Piece] | None = None
    """The agent's sound, piece after piece."""

    customer: list[Piece] | None = None
    """The customer's sound, piece after piece."""

    script: list[Message] = []
    """Messages beside those of the voices, or instead of them."""

    attributes: dict[str, str] = {}
    """Attributes of the call, such as ``ani`` and ``dnis``."""


class Reorder(_Model):
    """Messages overtake each other."""

    window: Duration
    """The longest time for which a message is held back."""

    seed: int = 1
    """Decides which messages, and for how long."""


class Duplicate(_Model):
    """Messages arrive twice."""

    every: int = Field(ge=1)
    """Number of messages of which one is doubled."""


class Loss(_Period):
    """Audio never arrives."""

    track: Track | None = None
    """The party whose audio is lost; both by default."""


class Freeze(_Period):
    """The network stalls; messages sent meanwhile arrive all at once."""


class Reset(_Model):
    """The connection ends without a goodbye."""

    at: Duration
    """Time, from the start of the call."""


class SlowNode(_Model):
    """A node is slow."""

    node: str
    """Name of the node; it must be behind a queue, or it holds up all others."""

    factor: float = Field(0.0, ge=0)
    """Seconds of work for each second of audio."""

    each: Duration = Duration(0)
    """Additional time for each chunk."""


class FailingNode(_Model):
    """A node raises once."""

    node: str
    """Name of the node."""

    at: Moment = 0
    """The call before which it happens: the number of a chunk, from 0, or the name of another call."""


class StuckNode(FailingNode):
    """A node, which must be behind a queue, does not return for a while."""

    length: Duration
    """Duration."""


class Fault(_OneOf):
    """One fault. The reference of each key is that of its class."""

    reorder: Reorder | None = None
    duplicate: Duplicate | None = None
    loss: Loss | None = None
    freeze: Freeze | None = None
    reset: Reset | None = None
    slow: SlowNode | None = None
    fail: FailingNode | None = None
    stuck: StuckNode | None = None


class Level(_Period):
    """Level of a part of a WAV file, as root mean square."""

    track: Track
    """The channel: the agent's is the left one."""

    below: Decibels | None = None
    """Level that the part must not reach."""

    above: Decibels | None = None
    """Level that the part must exceed."""


class FileExpectation(_Model):
    """Expected content of a file; empty if the file must only exist."""

    seconds: float | None = None
    """Length of a WAV file in seconds, to a millisecond."""

    channels: int | None = None
    """Channels of a WAV file."""

    rate: Rate | None = None
    """Sample rate of a WAV file."""

    levels: list[Level] = []
    """Levels of parts of a WAV file."""

    samples_of: str | None = None
    """Path of a WAV file with the same samples, relative to the test file."""

    sha256: str | None = None
    """Digest of a WAV file's samples, or of all bytes of another file."""

    lines: int | list[str | dict[str, Any]] | None = None
    """Lines of a text file: their number; or each as text, or as some fields of its JSON, numbers to 0.05."""


class NodeExpectation(_Model):
    """A node's counters, over all flows."""

    model_config = ConfigDict(populate_by_name=True)

    came: Amount | None = Field(None, alias="in")
    """Input."""

    out: Amount | None = None
    """Output."""


class EventExpectation(_Model):
    """One event of a flow or of the process."""

    event: str
    """Name of the event."""

    node: str | None = None
    """Node of the event."""

    at: Duration | None = None
    """Time from the beginning of the run, to two slots (40 ms)."""


class CaughtExpectation(_Model):
    """Expected input of a sink under ``catch``."""

    chunks: int | None = None
    """Number of chunks."""

    seconds: float | None = None
    """Seconds of audio of all tracks, to a millisecond."""

    texts: list[str] | None = None
    """The final texts, in order."""


class Expectation(_Model):
    """Expected outcome. Anything else fails the test: a drop, a failure, a file, an event."""

    ended: list[str] | None = None
    """Reasons of the flows' ends, in order; by default the usual end of each."""

    failed: list[str] = []
    """Nodes that fail, in any flow."""

    files: dict[str, FileExpectation] = {}
    """Expected files by path; ``*`` matches any characters, and all files that a pattern matches are checked."""

    dropped: dict[str, dict[str, Amount]] = {}
    """Dropped audio or chunks, by node and reason, over all flows."""

    filled: dict[str, dict[str, Amount]] = {}
    """Audio made by a node, such as silence for a lost packet, by node and reason."""

    nodes: dict[str, NodeExpectation] = {}
    """Input and output of nodes."""

    events: list[EventExpectation] = []
    """Events in their order. Usual ones (opened, closed, file) may be left out."""

    caught: dict[str, CaughtExpectation] = {}
    """Input of the sinks under ``catch``."""

    lasts: Duration | None = None
    """Longest time that the run may take, on the virtual clock."""


class Test(_Model):
    """One run of the graph."""

    set: dict[str, Any] = {}
    """Settings of the graph, as ``node.key``; they win over those of the file."""

    input: Input | None = None
    """Input of the calls; without it the graph's own listener runs, which must end by itself."""

    calls: int = Field(1, ge=1, le=1000)
    """Number of such calls at once."""

    catch: list[str] = []
    """Sinks that the test replaces, because they need a peer, a device or a screen."""

    faults: list[Fault] = []
    """Faults, in this order."""

    expect: Expectation | None = None
    """Expected outcome; without it, the outcome that was recorded with --update."""


class TestFile(_Model):
    """Tests of one graph."""

    flowcore: Literal[1]
    """The version of this format."""

    description: str = ""
    """Text for readers of the file."""

    graph: str
    """Path of the graph under test, relative to this file."""

    set: dict[str, Any] = {}
    """Settings of the graph in all tests."""

    tests: dict[str, Test] = Field(min_length=1)
    """The tests by name."""


__test__ = False  # pytest: these classes are no tests of this project
