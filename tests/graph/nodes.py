"""Small nodes of every kind, for graphs under test."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from flowcore import (
    CannotStart,
    Config,
    Decibels,
    Demux,
    Duration,
    Extra,
    Format,
    Listener,
    Rate,
    Sink,
    Size,
    Transform,
    node,
)
from flowcore.registry import Entry


class PhoneConfig(Config):
    port: int = Field(default=3333, ge=1, le=65535)
    """TCP port."""

    greeting: str = ""
    """What to say first."""

    public: bool = False
    """Whether others may call."""


@node("phone")
class Phone(Listener[Any, PhoneConfig]):
    """Accept calls."""

    attributes = {"call_id": "the call's id", "caller": "the caller's number"}

    @classmethod
    def gives(cls, config: Any) -> Format:
        return Format("audio", "s16", 8000, "mono")

    async def run(self, host: Any) -> None:
        raise NotImplementedError("graphs under test are loaded, not run")


class Detector(BaseModel):
    """Nested config."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    level: Decibels = Decibels(-45)
    """Loudness of speech."""

    name: str
    """Which detector."""


class FilterConfig(Config):
    window: Duration = Duration("120ms")
    """How long to look."""

    rate: Rate = Rate(8000)
    """Sample rate."""

    buffer: Size = Size("64KiB")
    """Memory to use."""

    mode: Literal["wait", "skip_late"] = "wait"
    """What to do with late chunks."""

    gain: float = 1.0
    """Factor."""

    weights: list[float] = []
    """Factors of single channels."""

    limit: int | Literal["none"] = "none"
    """How many, or none."""

    detector: Detector | None = None
    """Leaves out silence."""


@node("filter")
class Filter(Transform[Any, Any, FilterConfig]):
    """Change what comes in."""

    def process(self, chunk: Any, emit: Any) -> None:
        emit(chunk)


@node("halves")
class Halves(Demux[Any, Any]):
    """Send each party its way."""

    outputs = ("agent", "customer")

    @classmethod
    def gives(cls, config: Any, given: Format) -> tuple[Format, ...]:
        return (given, given)

    def process(self, chunk: Any, emits: Any) -> None:
        emits[0](chunk)


class StoreConfig(Config):
    path: str
    """Where to."""

    password: str = "none"
    """Opens the store; the text of its error holds the value, as careless validators do."""

    @model_validator(mode="after")
    def _know(self) -> Self:
        if self.password == self.path:
            raise ValueError(f"password and path are both {self.path}")
        return self


@node("store")
class Store(Sink[Any, StoreConfig]):
    """Keep what comes in."""

    def process(self, chunk: Any) -> None:
        pass


@node("lamp")
class Lamp(Sink[Any]):
    """Shine."""

    def process(self, chunk: Any) -> None:
        pass


@node("heavy")
class Heavy(Lamp):
    """Needs a package that nobody has."""

    @classmethod
    def requires(cls, config: Any) -> tuple[Extra, ...]:
        return (Extra("no_such_package.speech", "heavy"),)


class PickyConfig(Config):
    device: str = ""
    """Which one."""


@node("picky")
class Picky(Lamp):
    """Finds a conflict only when it is made."""

    Config = PickyConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config.device.startswith("no"):
            raise CannotStart(f"a lamp needs a device, not {config.device}", field="device")


class SafeConfig(Config):
    key: SecretStr | None = None
    """The word."""


@node("safe")
class Safe(Phone):
    """Accept calls of those who know a word."""

    Config = SafeConfig


CLASSES = (Phone, Filter, Halves, Store, Lamp, Heavy, Picky)
REGISTRY = {cls.name: Entry(cls.name, __name__, cls.__name__) for cls in CLASSES}
REGISTRY["torn"] = Entry("torn", "no_such_module_of_nodes")
REGISTRY["nameless"] = Entry("nameless", __name__)

GOOD = """\
flowcore: 1
description: a graph with everything in it
nodes:
  call:   {use: phone, with: {port: 3400, greeting: "hello"}}
  loud:   {use: filter, from: call, with: {window: 100ms, detector: {name: energy, level: -40dB}}}
  party:  {use: halves, from: loud}
  agent:  {use: filter, from: party.agent, queue: {max: 5s, on_full: drop_oldest}}
  kept:
    use: store
    from: [agent, party.customer]
    with:
      path: "x/{flow}.wav"
    on_error: restart
  light:  {use: lamp, from: loud}
"""
