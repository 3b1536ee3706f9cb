"""A stand-in for Google's speech recognition: the same gRPC methods, rules and errors, on a clock of your choice.

It speaks v1 and v2 with the message types of google-cloud-speech itself, and breaks streams off as the real service
does: ``rules`` holds what it enforces. It understands one language only, the one of ``words``: sound whose bytes say
which word they belong to, so that a text tells exactly which samples arrived. ``server`` is the gRPC around both.

::

    with FakeGoogle(speed=60) as google:  # google.address, google.streams
        ...

``python -m tools.fake_google --help`` runs it for any client.
"""

from .rules import LIMITS, Limits
from .server import FakeGoogle
from .stream import StreamFault, StreamLog, random_faults
from .words import mulaw

__all__ = ["LIMITS", "FakeGoogle", "Limits", "StreamFault", "StreamLog", "mulaw", "random_faults"]
