"""``flowcore run``: run a graph until a signal, or until a number of calls."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flowcore.admin.process import AdminProcess
from flowcore.call_log import PLACE
from flowcore.cli import admin as admin_options
from flowcore.cli.call_log import CallLog, call_log, check_hidden, key
from flowcore.cli.log import Log
from flowcore.cli.options import GraphFile, LogJson, Quiet, Settings, parse_seconds, plan_of, try_to_write
from flowcore.cli.succession import Succession
from flowcore.cli.traces import traces
from flowcore.cli.tunnel import Tunnel, open_tunnel, public_url, tunnel_settings
from flowcore.control.address import directory
from flowcore.control.handler import ControlHandler, engine_handler
from flowcore.control.hub import Command, Hub
from flowcore.control.recent_events import RecentEvents
from flowcore.control.run_live import RunLive
from flowcore.control.run_metrics import RunMetrics
from flowcore.control.set_all import SetAll
from flowcore.control.takeover import Takeover
from flowcore.engine.bus import Bus, Event
from flowcore.engine.engine import Engine
from flowcore.engine.garbage import collected_in_quiet_slots
from flowcore.engine.reloader import Reloader
from flowcore.engine.slots import new_loop
from flowcore.errors import CannotStart
from flowcore.graph import compile_graph, load_graph
from flowcore.graph.model import Graph
from flowcore.graph.plan import Plan
from flowcore.telemetry.engine_metrics import event_samples
from flowcore.workers.notify import Notifier, SupervisorNotifier
from flowcore.workers.supervisor import Supervisor


@dataclass(frozen=True)
class Reloading:
    """How the graph is reloaded: ``read`` loads it, and ``watch`` says whether changed files are noticed."""

    read: Callable[[], tuple[Graph, Plan]]
    watch: bool


WORKER = (sys.executable, "-m", "flowcore.cli.worker")
SLOTS = (0.001, 1.0)
"""Seconds, least and most: shorter slots waste a core; in longer slots calls and Ctrl-C wait too long."""


def run(
    graph: GraphFile,
    settings: Settings = None,
    calls: Annotated[int | None, typer.Option(min=1, help="End after this many calls.")] = None,
    max_calls: Annotated[int, typer.Option(min=1, help="Most calls at once; more are refused.")] = 2000,
    workers: Annotated[
        str, typer.Option(metavar="N|auto", help="Number of processes that share the calls; auto: one per core.")
    ] = "1",
    slot: Annotated[
        str, typer.Option(help="Interval of the engine, and the latency it adds at most; 1ms to 1s.")
    ] = "20ms",
    finish: Annotated[
        str, typer.Option(help="How long running calls may go on after SIGTERM; 0s ends them in order at once.")
    ] = "2h",
    drain: Annotated[
        str, typer.Option(help="How long a call may take to finish after it ended; a file, while nothing goes on.")
    ] = "10s",
    public: Annotated[
        str, typer.Option("--public-url", metavar="URL", help="Public address of a proxy in front of this process.")
    ] = "",
    tunnel: Annotated[
        Tunnel | None, typer.Option(help="Open a tunnel to the port; at --public-url, if that is given.")
    ] = None,
    takeover: Annotated[
        bool,
        typer.Option(
            "--takeover", help="Take the port over from a running flowcore, which ends with its last call; if one runs."
        ),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Reload the graph whenever one of its files has changed.")
    ] = False,
    control: Annotated[
        Path | None,
        typer.Option(help="Control socket, for `flowcore calls` and others.", show_default="one per process"),
    ] = None,
    stats: Annotated[
        Path | None, typer.Option(metavar="FILE", help="At the end, write the counters of all nodes to FILE, as JSON.")
    ] = None,
    place: Annotated[
        str,
        typer.Option(
            "--call-log",
            metavar="FILE|URL|none",
            envvar=PLACE,
            help="Write a row for each ended call to a SQLite file, or to postgresql://user@host/database.",
            show_default="calls.sqlite beside the files of the graph",
        ),
    ] = "",
    days: Annotated[
        float, typer.Option("--call-log-days", min=0, help="Remove rows after so many days; 0 keeps them.")
    ] = 0,
    personal: Annotated[
        Literal["keep", "hash", "omit"],
        typer.Option("--call-log-personal", help="Phone numbers and other attributes of the call in these rows."),
    ] = "keep",
    admin: admin_options.Address = "",
    admin_cert: admin_options.Cert = None,
    admin_key: admin_options.Key = None,
    admin_behind_proxy: admin_options.Proxies = None,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a graph.

    The log shows the addresses of the listener and of its pages, as seen at --public-url or through the tunnel: paste
    them into the phone system and the browser. A tunnel needs NGROK_AUTHTOKEN in the environment.

    SIGTERM, or `flowcore drain`, takes no more calls and ends the process with its last call or after --finish;
    /readyz on the port is 503 meanwhile. A second SIGTERM, Ctrl-C or a closed terminal ends the running calls in order,
    within 20 seconds; another signal ends the process at once. Without a terminal, SIGHUP is `flowcore reload`.

    With --takeover a new process gets the listening sockets of the running one, so that no connection is refused or
    lost: once it takes calls, the other one takes none any more and ends with its last call. If it cannot start, the
    other one goes on as if nothing had happened. `flowcore upgrade` does this with the command line of the running one.

    Exit code: 0 done and nothing lost, 1 a call failed or lost audio, 2 the graph or the command line is wrong.
    """
    options: dict[str, Any] = {"slot": parse_seconds(slot, "--slot"), "drain": parse_seconds(drain, "--drain")}
    if not SLOTS[0] <= options["slot"] <= SLOTS[1]:
        raise typer.BadParameter("give a time from 1ms to 1s, like 20ms: the length of a packet", param_hint="--slot")
    options["public"] = public_url(public)
    seconds = parse_seconds(finish, "--finish")
    processes = _processes(workers)
    served = admin_options.admin_settings(admin, admin_cert, admin_key, admin_behind_proxy)
    plan = plan_of(graph, settings)
    if stats is not None:
        try_to_write(stats, "--stats")
    if tunnel is not None:
        if takeover:
            raise typer.BadParameter("a tunnel ends with its process: leave out --takeover", param_hint="--tunnel")
        options["public"] = open_tunnel(plan, options["public"])
        settings = [*tunnel_settings(plan), *(settings or [])]
        plan = plan_of(graph, settings)
    ended = call_log(plan, place, days, personal)

    def read() -> tuple[Graph, Plan]:
        loaded = load_graph(graph, settings or [])
        compiled = compile_graph(loaded)
        if ended is not None:
            check_hidden(compiled, personal)
        return loaded, compiled

    log = Log(as_json=log_json, quiet=quiet, stats=stats)
    bus = Bus()
    bus.subscribe(log.event)
    api = admin_options.admin_process(served, plan, ended, bus)
    succession = Succession.wanted(plan, control, api) if takeover else Succession()
    hub = _hub(control, succession, bus, required=control is not None or api is not None)
    _raise_open_files()
    reloading = Reloading(read, watch)
    if processes == 1:
        options |= {"calls": calls, "max_calls": max_calls, "sockets": succession.sockets(plan)}
        options |= {"hub": hub, "finish": seconds, "ended": ended, "api": api, "reloading": reloading}
        run_engine(plan, log, bus=bus, succession=succession, **options)
    job: dict[str, Any] = {
        "options": options,
        "finish": seconds,
        "call_log": ended and vars(ended.job),
        "observed": api is not None,
        "log": {"as_json": log_json, "quiet": quiet},
    }
    supervisor = Supervisor(
        plan,
        processes,
        WORKER,
        job,
        bus=bus,
        on_file=log.wrote,
        calls=calls,
        max_calls=max_calls,
        first=succession.before.first_number(processes),
        sockets=succession.sockets(plan),
    )
    if api is not None:
        supervisor.on_observed = api.publish
    with _replaying(ended, bus), traces(bus, plan):
        # It gains nothing from a faster loop.
        asyncio.run(_supervise(supervisor, bus, hub, seconds, api, reloading, succession))
    log.close(supervisor.totals)
    raise typer.Exit(supervisor.code or supervisor.totals.exit_code)


def run_engine(
    plan: Plan,
    log: Log,
    *,
    bus: Bus,
    hub: Hub | None = None,
    finish: float = 0.0,
    ended: CallLog | None = None,
    api: AdminProcess | None = None,
    reloading: Reloading | None = None,
    observe: Callable[[Engine], None] = lambda engine: None,
    succession: Succession | None = None,
    **options: Any,
) -> None:
    """Run a plan in this process, and log; ``finish`` is the time in seconds that calls have after SIGTERM.

    ``observe`` is called with the engine before it runs.

    Raises `typer.Exit` with code 1 if a call failed or lost audio, else 0.
    """
    engine = Engine(plan, bus=bus, strict=sys.flags.dev_mode, **options)
    observe(engine)
    with (
        _replaying(ended, bus),
        traces(bus, plan) as engine.trace_of,
        ended.job.writing(engine, key()) if ended else nullcontext(),
        asyncio.Runner(loop_factory=new_loop) as runner,
        collected_in_quiet_slots(engine.slots),
    ):
        runner.run(_until_done(engine, hub, finish, api, reloading, succession or Succession()))
    log.close(engine.totals)
    raise typer.Exit(engine.totals.exit_code)


def _replaying(ended: CallLog | None, bus: Bus) -> AbstractContextManager[None]:
    if ended is None:
        return nullcontext()
    from flowcore.call_log.running import replaying

    return replaying(ended.folder, ended.database, ended.days, bus)


async def _until_done(
    engine: Engine,
    hub: Hub | None,
    seconds: float,
    api: AdminProcess | None,
    reloading: Reloading | None,
    succession: Succession,
) -> None:
    before = succession.before

    def stop() -> None:
        engine.bus.emit("stop_requested", calls=len(engine.flows))
        engine.stop()
        before.stop()

    def finish(seconds: float) -> None:
        if not (engine.flows or before.live) or not seconds:
            return stop()
        engine.bus.emit("finish_requested", calls=len(engine.flows), seconds=seconds)
        engine.finish(seconds)

    handlers = {before.first_number(1): engine_handler(engine)}
    everyone = succession.everyone(handlers)
    metrics = RunMetrics(engine.plan, everyone, engine.call_limit.share, lambda: engine.draining)
    live = RunLive(engine, everyone, engine.call_limit.share)
    async with _reloaded(engine, reloading, metrics, api) as reloader:
        _on_signals(engine, stop, lambda: finish(seconds), reloader, before)
        notifier = Notifier(engine)
        commands = _commands(engine, everyone, finish, metrics, live, reloader)
        async with (
            _answering(hub, everyone, commands, api, before),
            succession.running(engine, hub, handlers, seconds, stop, metrics.run_ended, notifier.beat),
        ):
            await engine.run()


async def _supervise(
    supervisor: Supervisor,
    bus: Bus,
    hub: Hub | None,
    seconds: float,
    api: AdminProcess | None,
    reloading: Reloading,
    succession: Succession,
) -> None:
    before = succession.before

    def stop() -> None:
        bus.emit("stop_requested", workers=len(supervisor.handlers))
        bus.deliver()
        supervisor.stop()
        before.stop()

    def finish(seconds: float) -> None:
        if not seconds:
            return stop()
        bus.emit("finish_requested", workers=len(supervisor.handlers), seconds=seconds)
        bus.deliver()
        supervisor.finish(seconds)

    everyone = succession.everyone(supervisor.handlers)
    metrics = RunMetrics(
        supervisor.plan,
        everyone,
        supervisor.max_calls,
        lambda: supervisor.draining,
        partial(event_samples, bus),
    )
    supervisor.on_worker_end = metrics.worker_ended
    live = RunLive(supervisor, everyone, supervisor.max_calls, lambda: supervisor.totals, RecentEvents(supervisor.bus))
    async with _reloaded(supervisor, reloading, metrics, api) as reloader:
        _on_signals(supervisor, stop, lambda: finish(seconds), reloader, before)
        SupervisorNotifier(supervisor.quiet_for, bus)
        commands = _commands(supervisor, everyone, finish, metrics, live, reloader)
        async with (
            _answering(hub, everyone, commands, api, before),
            succession.running(supervisor, hub, supervisor.handlers, seconds, stop, metrics.run_ended),
        ):
            await supervisor.run()


@asynccontextmanager
async def _reloaded(
    runner: Engine | Supervisor, reloading: Reloading | None, metrics: RunMetrics, api: AdminProcess | None
) -> AsyncIterator[Reloader | None]:
    if reloading is None:
        yield None
        return

    def replaced(plan: Plan) -> None:
        metrics.declare(plan)
        admin_options.show_graph(api, plan)

    reloader = Reloader(runner, reloading.read, replaced)
    watching = asyncio.create_task(reloader.watch()) if reloading.watch else None
    try:
        yield reloader
    finally:
        if watching is not None:
            watching.cancel()


def _commands(
    runner: Engine | Supervisor,
    handlers: Mapping[int, ControlHandler],
    finish: Callable[[float], None],
    metrics: RunMetrics,
    live: RunLive,
    reloader: Reloader | None,
) -> dict[str, Command]:
    def drain(request: Mapping[str, Any]) -> bool:
        """Return whether it was not draining before; ``seconds`` is how long running calls may go on."""
        if runner.draining:
            return False
        finish(float(request["seconds"]))
        return True

    commands: dict[str, Command] = {
        "drain": drain,
        "metrics": lambda request: metrics.answer.get(),
        "live": live.page,
        "live_call": live.call,
    }
    if reloader is not None:
        set_all = SetAll(runner, handlers, reloader.alone, reloader.on_reload)
        commands |= {"reload": reloader.answer, "set_all": set_all.answer}
    return commands


@asynccontextmanager
async def _answering(
    hub: Hub | None,
    handlers: Mapping[int, ControlHandler],
    commands: dict[str, Command],
    api: AdminProcess | None,
    before: Takeover,
) -> AsyncIterator[None]:
    if hub is None:
        yield
        return
    hub.handlers, hub.commands = handlers, commands
    await hub.open()
    try:
        async with nullcontext() if api is None else api.serving(before.control or hub.path, before.in_charge):
            yield
    finally:
        await hub.close()


def _on_signals(
    runner: Engine | Supervisor,
    stop: Callable[[], None],
    finish: Callable[[], None],
    reloader: Reloader | None,
    before: Takeover,
) -> None:
    def asked_to_stop(number: int) -> None:
        if number == signal.SIGTERM and not runner.draining:
            finish()
        elif not (runner.stopping and (before.stopping or not before.live)):
            stop()
        elif number != signal.SIGHUP:  # asked again: end at once, without waiting for anything that may hang
            if isinstance(runner, Supervisor):
                runner.kill()
            os._exit(1)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop, number)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup
        return
    if _has_terminal():  # the terminal has closed; both the shell and the kernel may send this signal
        loop.add_signal_handler(signal.SIGHUP, asked_to_stop, signal.SIGHUP)
    elif reloader is not None:  # a service: its manager sends this signal to reload
        loop.add_signal_handler(signal.SIGHUP, reloader.start)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _hub(control: Path | None, succession: Succession, bus: Bus, *, required: bool) -> Hub | None:
    """Return a hub at ``control``, or at a path of this process; None when that fails.

    Raises `CannotStart` instead where the hub is ``required``.
    """
    try:
        hub = Hub(succession.hub_path(control or directory() / f"{os.getpid()}.sock"))
    except CannotStart as error:
        if required:
            raise
        bus.emit(
            "control_failed", cause=error, detail="calls are taken, but flowcore calls, tap and monitor cannot connect"
        )
        return None
    announced = False

    def announce(event: Event) -> None:
        nonlocal announced
        if event.name == "listener_opened" and not announced:  # not before: the log of a failed start begins with why
            announced = True
            bus.emit("control_opened", path=str(control or hub.path))

    bus.subscribe(announce)
    return hub


def _raise_open_files() -> None:
    """Raise the soft limit of open files to the hard limit: the usual 1024 files are enough for 280 calls."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _processes(workers: str) -> int:
    if workers == "auto":
        return len(os.sched_getaffinity(0))
    if not workers.isdecimal() or not 1 <= int(workers) <= 512:
        raise typer.BadParameter("give a number from 1 to 512, or auto", param_hint="--workers")
    return int(workers)
