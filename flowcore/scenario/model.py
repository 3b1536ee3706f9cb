"""What stands in a test file. The text under a field is its reference."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowcore.units import Decibels, Duration, Rate

Track = Literal["agent", "customer"]
Amount = int | Duration | Literal["any"]
"""Chunks as a number, audio as a duration, or ``any`` where it depends on the speed of the machine."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class _OneOf(_Model):
    """A mapping of which exactly one key says what it is; ``OTHER`` keys may stand beside it."""

    @model_validator(mode="after")
    def _one(self) -> _OneOf:
        choices = [name for name in type(self).model_fields if name not in self._others()]
        if sum(getattr(self, name) is not None for name in choices) != 1:
            raise ValueError(f"say one of {', '.join(choices)}")
        return self

    @classmethod
    def _others(cls) -> tuple[str, ...]:
        return ()


class Piece(_OneOf):
    """A stretch of one party's sound."""

    tone: Duration | None = None
    """A sine of ``hertz``, so long."""

    silence: Duration | None = None
    """Digital silence, so long."""

    wav: str | None = None
    """A mono WAV file of 16 bits, relative to the test file; any rate."""

    hertz: float = Field(440.0, gt=0)
    """Frequency of a tone."""

    @classmethod
    def _others(cls) -> tuple[str, ...]:
        return ("hertz",)


class Message(_Model):
    """One message of a peer, as the listener's protocol has it."""

    at: Duration
    """When it comes, from the beginning of the call."""

    send: str | dict[str, Any] | list[Any]
    """The message: text as it is, anything else as JSON."""


class Input(_Model):
    """What comes in, in the place of the listener's connections or files."""

    agent: list[Piece] | None = None
    """What the agent says, piece after piece."""

    customer: list[Piece] | None = None
    """What the customer says."""

    script: list[Message] = []
    """Messages beside those that carry the voices, or in place of them."""

    attributes: dict[str, str] = {}
    """What the peer says of the call, as ``ani`` or ``dnis``."""


class Reorder(_Model):
    """Messages overtake each other."""

    window: Duration
    """The longest time for which a message is held back."""

    seed: int = 1
    """Decides which messages, and for how long."""


class Duplicate(_Model):
    """Messages come twice."""

    every: int = Field(ge=1)
    """One of so many."""


class Loss(_Model):
    """Audio never arrives."""

    at: Duration
    """From then on."""

    length: Duration
    """For so long."""

    track: Track | None = None
    """This party's; both parties' by default."""


class Freeze(_Model):
    """The network stands still; what was sent meanwhile comes all at once."""

    at: Duration
    """From then on."""

    length: Duration
    """For so long."""


class Reset(_Model):
    """The connection ends without a goodbye."""

    at: Duration
    """When."""


class SlowNode(_Model):
    """A node takes its time."""

    node: str
    """Which one; it must stand behind a queue, or it holds up all others."""

    factor: float = Field(0.0, ge=0)
    """Seconds for each second of audio."""

    each: Duration = Duration(0)
    """Time for each chunk beside that."""


class FailingNode(_Model):
    """A node raises, once."""

    node: str
    """Which one."""

    at: int | Literal["open", "flush", "close"] = 0
    """Before the chunk of that number, counted from 0, or before one of its other calls."""


class StuckNode(_Model):
    """A node does not return for a while."""

    node: str
    """Which one; it must stand behind a queue."""

    at: int | Literal["open", "flush", "close"] = 0
    """Before the chunk of that number, counted from 0, or before one of its other calls."""

    length: Duration
    """For so long."""


class Fault(_OneOf):
    """One thing that goes wrong."""

    reorder: Reorder | None = None
    """Messages overtake each other."""

    duplicate: Duplicate | None = None
    """Messages come twice."""

    loss: Loss | None = None
    """Audio never arrives."""

    freeze: Freeze | None = None
    """The network stands still for a while."""

    reset: Reset | None = None
    """The connection ends without a goodbye."""

    slow: SlowNode | None = None
    """A node takes its time."""

    fail: FailingNode | None = None
    """A node raises."""

    stuck: StuckNode | None = None
    """A node does not return for a while."""


class Level(_Model):
    """How loud a stretch of a WAV file is, as root mean square."""

    track: Track
    """The left channel is the agent's."""

    at: Duration
    """From then on."""

    length: Duration
    """For so long."""

    below: Decibels | None = None
    """Softer than that."""

    above: Decibels | None = None
    """Louder than that."""


class FileExpectation(_Model):
    """What a file must hold. Nothing said means: it must be there."""

    seconds: float | None = None
    """Length of a WAV file, to a millisecond."""

    channels: int | None = None
    """Channels of a WAV file."""

    rate: Rate | None = None
    """Sample rate of a WAV file."""

    levels: list[Level] = []
    """How loud a WAV file is, here and there."""

    samples_of: str | None = None
    """A WAV file, relative to the test file, that has the same samples."""

    sha256: str | None = None
    """Of a WAV file's samples, or of all bytes of another file."""

    lines: int | list[str | dict[str, Any]] | None = None
    """Lines of a text file: how many; or each as text, or as some of the fields of its JSON, numbers to 0.05."""


class NodeExpectation(_Model):
    """A node's books."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)

    came: Amount | None = Field(None, alias="in")
    """What came in."""

    out: Amount | None = None
    """What went out."""


class EventExpectation(_Model):
    """One event of a flow or of the process."""

    event: str
    """Its name."""

    node: str | None = None
    """The node that it is about."""

    at: Duration | None = None
    """When, from the beginning of the run, to two slots (40 ms)."""


class CaughtExpectation(_Model):
    """What reached a sink that was caught."""

    chunks: int | None = None
    """How many chunks."""

    seconds: float | None = None
    """How much audio, of all tracks, to a millisecond."""

    texts: list[str] | None = None
    """The final texts, in order."""


class Expectation(_Model):
    """What must come of it. What is not said here must not happen: no drop, no failure, no file, no event."""

    ended: list[str] | None = None
    """Why the flows ended, in the order of their ends; the usual end by default."""

    failed: list[str] = []
    """Nodes that fail, in any flow."""

    files: dict[str, FileExpectation] = {}
    """By path, with ``*`` for what differs; a pattern may stand for several files, which are all checked."""

    dropped: dict[str, dict[str, Amount]] = {}
    """By node and reason, over all flows."""

    filled: dict[str, dict[str, Amount]] = {}
    """Audio made up by a node, such as silence for a lost packet: by node and reason."""

    nodes: dict[str, NodeExpectation] = {}
    """What went through nodes, over all flows."""

    events: list[EventExpectation] = []
    """In their order. The usual ones (opened, closed, file) may be left out."""

    caught: dict[str, CaughtExpectation] = {}
    """What reached the sinks under ``catch``."""

    lasts: Duration | None = None
    """The whole run takes no longer than that, on the virtual clock."""


class Test(_Model):
    """One run of the graph."""

    set: dict[str, Any] = {}
    """Values of the graph to change, as ``node.key``; they win over those of the file."""

    input: Input | None = None
    """What comes in; without it the graph's own listener works, which must end by itself."""

    calls: int = Field(1, ge=1, le=1000)
    """So many such calls at once."""

    catch: list[str] = []
    """Sinks that the test takes the place of, because they would need a peer, a device or a screen."""

    faults: list[Fault] = []
    """What goes wrong, in this order."""

    expect: Expectation | None = None
    """What must come of it; without it, what was recorded with --update."""


class TestFile(_Model):
    """Tests of one graph."""

    flowcore: Literal[1]
    """The version of this format."""

    description: str = ""
    """For people."""

    graph: str
    """The graph under test, relative to this file."""

    set: dict[str, Any] = {}
    """Values of the graph to change in all tests."""

    tests: dict[str, Test] = Field(min_length=1)
    """By name."""


__test__ = False  # pytest: these classes are no tests of this project
