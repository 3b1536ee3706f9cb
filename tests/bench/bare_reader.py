"""The bare reader of tools/socket_reader.py as a receiver of `flowcore.bench.trial`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from flowcore.bench.server import SAMPLE_INTERVAL, resident
from tools.socket_reader import Reader


async def serve(pipe: Any) -> None:
    """Count bytes until SIGTERM."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, asked.set)
    samples: list[tuple[float, float, int]] = []

    def sample() -> None:
        samples.append((time.monotonic(), time.process_time(), resident()))
        loop.call_later(SAMPLE_INTERVAL, sample)

    server = await loop.create_server(Reader, "127.0.0.1", 0, backlog=1024)
    sample()
    pipe.write(json.dumps({"url": f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"}) + "\n")
    pipe.flush()
    await asked.wait()
    server.close()
    pipe.write(json.dumps({"samples": samples, "bytes": Reader.received}) + "\n")


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(description="The bare reader.")
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--core", default="")
    options = parser.parse_args()
    if options.core:
        os.sched_setaffinity(0, {int(core) for core in options.core.split(",")})
    with os.fdopen(options.report, "w") as report:
        uvloop.run(serve(report))
