"""The bare reader of ``tools/socket_reader.py`` as a server: ``python bare_reader.py PORT``; its count on SIGTERM."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[2]))
from tools.socket_reader import Reader


async def main(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.get_running_loop().create_server(Reader, "127.0.0.1", port, backlog=1024)
    await stop.wait()
    print(json.dumps({"wire": Reader.received}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
