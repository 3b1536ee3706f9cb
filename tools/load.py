"""Load a receiver with many RingCX calls in real time: `nodes.simulators.ringcx` by a short name.

python tools/load.py --calls 200 --seconds 10 ws://127.0.0.1:3333/ [--together] [--json]
"""

from __future__ import annotations

import sys

from flowcore.audio import TRACKS
from nodes.simulators.known_audio import mulaw, samples
from nodes.simulators.load import Result, call_id
from nodes.simulators.ringcx import FIRST_SEQUENCE, Load, frame, main

__all__ = ["FIRST_SEQUENCE", "TRACKS", "Load", "Result", "call_id", "frame", "mulaw", "samples"]

if __name__ == "__main__":
    sys.exit(main())
