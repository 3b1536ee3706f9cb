"""The program of a worker: ``python -m flowcore.cli.worker CHANNEL``, started by ``flowcore run --workers`` only."""

from __future__ import annotations

import asyncio
import signal
import sys

from flowcore.cli.log import Log
from flowcore.cli.show import show_error
from flowcore.engine.engine import Engine
from flowcore.engine.garbage import collected_in_quiet_slots
from flowcore.engine.loop import new_loop
from flowcore.errors import FlowcoreError
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.workers.supervisor import WorkerLink


def main(channel: int) -> int:
    """Do the job that comes down the channel; the exit code."""
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole group: the supervisor passes them on
        signal.signal(number, signal.SIG_IGN)
    try:
        seat = WorkerLink(channel)
        job = seat.job
        # From the text that the supervisor checked: the file may have changed since.
        plan = compile_graph(load_text(job["graph"], job["path"], job["settings"], subgraphs=job["subgraphs"]))
        engine = Engine(plan, places=seat.places, sockets=seat.sockets, recover=False, **job["options"])
        engine.bus.subscribe(Log(**job["log"], worker=seat.number).event)
        with asyncio.Runner(loop_factory=new_loop) as runner, collected_in_quiet_slots(engine.slots):
            runner.run(_until_done(seat, engine))
    except FlowcoreError as error:
        show_error(str(error))
        return 1
    return 0


async def _until_done(seat: WorkerLink, engine: Engine) -> None:
    # A second SIGTERM means the same: a service manager's may come beside the supervisor's.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.stop)
    await seat.run(engine)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
