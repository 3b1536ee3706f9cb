"""Measure a bare socket reader: the minimum that any receiver on asyncio pays for a message.

    python tools/socket_reader.py --calls 200 --seconds 10 [--together] [--json]

An `asyncio.Protocol` on uvloop answers the upgrade and counts bytes; it decodes no frame, JSON or base64. The load is
`tools/load.py`, in a process of its own. Prints the CPU of this process per media message.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

LOAD = Path(__file__).with_name("load.py")
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
)
CLOSE_FRAME = b"\x88\x82\0\0\0\0\x03\xe8"
"""The last bytes of a call of `load.py`."""


class Reader(asyncio.Protocol):
    """Answer the upgrade and count bytes."""

    received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.answered = False

    def data_received(self, data: bytes) -> None:
        if self.answered:
            Reader.received += len(data)
            if data.endswith(CLOSE_FRAME):
                self.transport.write(b"\x88\x02\x03\xe8")
                self.transport.close()
        elif data.endswith(b"\r\n\r\n"):
            self.answered = True
            self.transport.write(ANSWER)


async def measure(calls: int, seconds: float, together: bool = False) -> dict[str, float]:
    """Return the CPU per message of one run, and the result of the generator. Raises `RuntimeError` for a loss."""
    server = await asyncio.get_running_loop().create_server(Reader, "127.0.0.1", 0, backlog=1024)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    command: tuple[str, ...] = (str(LOAD), "--calls", str(calls), "--seconds", str(seconds), "--json", url)
    command += ("--together",) * together
    load = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=subprocess.PIPE)
    cpu = time.process_time()
    output, _ = await load.communicate()
    cpu = time.process_time() - cpu
    server.close()
    result = json.loads(output)
    if Reader.received < result["bytes"]:
        raise RuntimeError(f"{Reader.received} of {result['bytes']} bytes arrived: the figure would be wrong")
    return {"cpu_us_per_message": cpu / result["messages"] * 1e6, "load": result}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bare socket reader.")
    parser.add_argument("--calls", type=int, default=200, help="calls at once (default 200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each call (default 10)")
    parser.add_argument("--together", action="store_true", help="both parties' messages in one send")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    options = parser.parse_args()
    import uvloop

    result = uvloop.run(measure(options.calls, options.seconds, options.together))
    print(json.dumps(result) if options.json else f"bare reader: {result['cpu_us_per_message']:.2f} us per message")
    return 0


if __name__ == "__main__":
    sys.exit(main())
