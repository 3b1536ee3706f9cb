"""The program of a worker: ``python -m flowcore.cli.worker CHANNEL``, started only by ``flowcore run --workers``."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AbstractContextManager, nullcontext

from flowcore.cli.call_log import key
from flowcore.cli.log import Log
from flowcore.cli.show import show_error
from flowcore.cli.traces import traces
from flowcore.engine.engine import Engine
from flowcore.engine.garbage import collected_in_quiet_slots
from flowcore.engine.slots import new_loop
from flowcore.errors import FlowcoreError
from flowcore.workers.graph_job import plan_of
from flowcore.workers.link import WorkerLink
from flowcore.workers.process import GROUP_SIGNALS


def main(channel: int) -> int:
    """Do the job that comes through the channel; return the exit code."""
    for number in GROUP_SIGNALS:  # the supervisor passes them on
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    try:
        link = WorkerLink(channel)
        job = link.job
        engine = Engine(
            plan_of(job["graph"]),
            bus=link.bus,
            call_limit=link.call_limit,
            messages=link.messages,
            sockets=link.sockets,
            recover=False,
            version=job["graph"]["version"],
            **job["options"],
        )
        link.bus.subscribe(Log(**job["log"], worker=link.number).event)
        with (
            _call_log(link, engine),
            traces(link.bus, engine.plan) as engine.trace_of,
            asyncio.Runner(loop_factory=new_loop) as runner,
            collected_in_quiet_slots(engine.slots),
        ):
            runner.run(_until_done(link, engine))
    except FlowcoreError as error:
        show_error(str(error))
        return 1
    return 0


def _call_log(link: WorkerLink, engine: Engine) -> AbstractContextManager[None]:
    if (job := link.job["call_log"]) is None:
        return nullcontext()
    from flowcore.call_log.journal_job import JournalJob

    return JournalJob(**job).writing(engine, key())


async def _until_done(link: WorkerLink, engine: Engine) -> None:
    # A service manager sends SIGTERM to all processes, and the supervisor says the same through the channel.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.finish, link.job["finish"])
    await link.run(engine, link.job["observed"])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
