"""flowcore: a dataflow engine for live call audio. These are the names that a node author needs."""

from flowcore.audio import Audio, Encoding, Packet
from flowcore.errors import BadMessage, CannotStart, FlowcoreError, MissingExtra, Refused
from flowcore.files import Folder, NewFile, abandoned, publish, publish_from, write_whole
from flowcore.formats import ANY_AUDIO, LINEAR, PACKETS, TEXT, Format, Takes
from flowcore.node import (
    Config,
    Demux,
    Emit,
    Extra,
    Host,
    Inlet,
    Listener,
    Part,
    Report,
    Session,
    Sink,
    Transform,
    node,
)
from flowcore.paths import PathTemplate
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
    "Config",
    "Decibels",
    "Demux",
    "Duration",
    "Emit",
    "Encoding",
    "Extra",
    "FlowcoreError",
    "Folder",
    "Format",
    "Host",
    "Inlet",
    "Listener",
    "MissingExtra",
    "NewFile",
    "Packet",
    "Part",
    "PathTemplate",
    "Rate",
    "Refused",
    "Report",
    "Session",
    "Sink",
    "Size",
    "Takes",
    "Text",
    "Transform",
    "Word",
    "abandoned",
    "node",
    "publish",
    "publish_from",
    "write_whole",
]
