"""A dataflow engine for live call audio. This module has the names that the author of a node needs.

- `flowcore.files`: files that survive kills and power cuts
- `flowcore.speech`: the contract of speech engines
- `flowcore.testing`: the test kit for nodes and graphs

A program that runs a graph itself::

    from flowcore.engine import Engine
    from flowcore.graph import compile_graph, load_graph

    asyncio.run(Engine(compile_graph(load_graph("record.yaml"))).run())
"""

from flowcore.audio import Audio, Encoding, Packet
from flowcore.errors import BadMessage, CannotStart, FlowcoreError, MissingExtra, Refused
from flowcore.events import EventType, Reason, ThrottledEventType
from flowcore.formats import ANY_AUDIO, LINEAR, PACKETS, TEXT, Caps, Format
from flowcore.listener import ConnectionCounter, Host, Inlet, Listener, ListenerTools
from flowcore.live import Live
from flowcore.losses import Gap, Loss
from flowcore.node import Config, Demux, Emit, Extra, Session, Sink, Transform, node
from flowcore.paths import LocalPath, PathTemplate
from flowcore.report import Report
from flowcore.resource import Resource
from flowcore.session_text import SessionText
from flowcore.text import Text, Word
from flowcore.units import Decibels, Duration, Rate, Size

__all__ = [
    "ANY_AUDIO",
    "LINEAR",
    "PACKETS",
    "TEXT",
    "Audio",
    "BadMessage",
    "CannotStart",
    "Caps",
    "Config",
    "ConnectionCounter",
    "Decibels",
    "Demux",
    "Duration",
    "Emit",
    "Encoding",
    "EventType",
    "Extra",
    "FlowcoreError",
    "Format",
    "Gap",
    "Host",
    "Inlet",
    "Listener",
    "ListenerTools",
    "Live",
    "LocalPath",
    "Loss",
    "MissingExtra",
    "Packet",
    "PathTemplate",
    "Rate",
    "Reason",
    "Refused",
    "Report",
    "Resource",
    "Session",
    "SessionText",
    "Sink",
    "Size",
    "Text",
    "ThrottledEventType",
    "Transform",
    "Word",
    "node",
]
