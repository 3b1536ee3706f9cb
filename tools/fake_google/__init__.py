"""Fake of Google's speech recognition: the same gRPC methods, rules and errors, on a clock of your choice.

The fake speaks v1 and v2 with the message types of google-cloud-speech, and ends streams by the rules of the real
service (``rules``). It understands the artificial language of ``words`` only, whose bytes tell to which word they
belong: so a text shows exactly which samples arrived. ``server`` is the gRPC server.

::

    with FakeGoogle(speed=60) as google:  # google.address, google.streams
        ...

``python -m tools.fake_google --help`` runs the fake for any client.
"""

from .rules import LIMITS, Limits
from .server import FakeGoogle
from .stream import StreamFault, StreamLog, random_faults
from .words import mulaw

__all__ = ["LIMITS", "FakeGoogle", "Limits", "StreamFault", "StreamLog", "mulaw", "random_faults"]
