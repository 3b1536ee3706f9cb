"""Run Autobahn's cases for servers against an echo on the product's own port: ``make conformance``.

    python -m tests.conformance [CASE …]

`kosoku` runs the files of the Autobahn TestSuite without Python 2. A case fails that is not OK, NON-STRICT or
INFORMATIONAL in Autobahn's words, beside the stated `LIMITS` of the port.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from fnmatch import fnmatch
from typing import Any

from kosoku import FailureError, run_fuzzingclient
from websockets.http11 import Request

from flowcore.addresses import Address
from flowcore.engine.sockets import listen
from nodes.net.peer import PeerConnection
from nodes.net.port import Limits, Port

LIMITS = {
    "9.1.[2-6]": "messages of more than 64 KiB",
    "9.2.[2-6]": "messages of more than 64 KiB",
    "9.3.*": "messages of more than 64 KiB",
    "9.4.*": "messages of more than 64 KiB",
    "9.5.*": "messages of more than 64 KiB",
    "9.6.*": "messages of more than 64 KiB",
    "12.*": "compression is never negotiated",
    "13.*": "compression is never negotiated",
}
"""Cases that the port refuses on purpose, and why."""


class Echo:
    """A peer that sends each message back. All messages of a case are of one kind."""

    connection: PeerConnection

    def opened(self, connection: PeerConnection) -> None:
        self.connection = connection

    def wants_read(self, now: float) -> bool:
        return True

    def messages_received(self, messages: list[bytes], now: float) -> None:
        websocket = self.connection.websocket
        for message in messages:
            websocket.send(message, binary=websocket.other_frames["binary"] > 0)

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        self.messages_received(messages, until)

    def closed(self, reason: str) -> None: ...


async def serve(port: Port) -> None:
    """Poll the port without pause."""
    while True:
        port.poll(time.monotonic)
        await asyncio.sleep(0)


async def run(cases: list[str]) -> list[Any]:
    """Run the cases, all without a pattern; return their results."""

    def route(request: Request, client: Address) -> Echo:
        return Echo()

    errors: list[Exception] = []
    port = Port({"/": route}, Limits(connections=100, handshake=30.0, rate=1e12), on_error=errors.append)
    number = port.listen(listen("127.0.0.1", 0))
    serving = asyncio.create_task(serve(port))
    try:
        return list(await run_fuzzingclient(f"127.0.0.1:{number}", cases or None))
    except FailureError as failed:
        return list(failed.results)
    finally:
        serving.cancel()
        port.close()
        for error in errors:
            raise error


def main(cases: list[str]) -> int:
    """Print a summary and each case that failed; return the exit code."""
    results = asyncio.run(run(cases))
    limited, failed = Counter[str](), []
    verdicts = Counter[str]()
    for result in results:
        limit = next((why for pattern, why in LIMITS.items() if fnmatch(result.case_id, pattern)), "")
        if limit and not result.passed:
            limited[limit] += 1
        elif not result.passed:
            failed.append(result)
        else:
            verdicts[result.behavior.value] += 1
    print(f"{len(results)} cases:", ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    for why, count in limited.items():
        print(f"{count} beyond a limit: {why}")
    for result in failed:
        print(f"FAILED {result.case_id}: {result.behavior.value}, close {result.behavior_close.value}: {result.result}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
