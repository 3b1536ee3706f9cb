"""Put the same calls into flowcore and its peers in one run, and print the CPU and memory of each.

    python tools/peers/compare.py [--rounds 3] [--calls 50] [--seconds 8] [--only NAME …] [--no-held] [--json FILE]

The calls are those of ``tools/load.py``: at real-time pace, 100 messages a second each, with known audio. The server
runs on core 0, the generator on core 1. The figures are the CPU of the server process with all its threads per media
message, and the growth of its resident memory per call, both measured inside the load, so that start and set-up do not
count. Afterwards each recording is compared with the audio that was sent, sample by sample (resampled ones by
correlation and length). The peers take turns, round after round; figures are medians.

*Calls held* is the largest number tried at which nothing was lost, the generator was in time, and the server's core had
at least 5 % left. ``>=`` means that more calls were not tried, or that the generator was too slow for them.

Exit code: 0 if everything was measured and nothing was lost, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tools.load import TRACKS, mulaw
from tools.peers.environments import Missing
from tools.peers.lineup import PEERS, Peer, Place
from tools.peers.recordings import faults
from tools.peers.servers import LOAD_CORE, MESSAGES_PER_SECOND, TIMEOUT, Broken, Need, call, free_port, serving

WARM_UP = (2, 1.0)
"""Calls, and their seconds, before a server is measured: code that the first call loads does not count."""

MAX_LAG_MS = 20.0
"""Lag of the generator at p99 above which it did not send in real time."""

MAX_FED_LAG_MS = 200.0
"""The same for a server that feeds itself: its feeding waits for its own work, which is fine while it keeps pace."""

RETRIES = 2
"""Repetitions of a round in which the generator was late, because the load was not in real time."""

BUSY = 0.95
"""Share of its core above which a server does not count as holding its calls."""

MIN_STEP = 1.1
"""Factor between the numbers of calls of two tries: at least this after a success, and its inverse after a failure."""

MAX_STEP = 1.6
"""Largest factor after a success, when the core was mostly idle."""

TRIES = 7


@dataclass
class Measurement:
    """One load of one peer."""

    calls: int
    need: Need
    lost: str = ""
    """Losses or another failure; empty when all is whole."""
    late_ms: float = 0.0
    """Lag of the generator at p99."""
    generator_us: float = 0.0
    """CPU of the generator for each message; 0 when the server was its own."""

    @property
    def held(self) -> bool:
        return not self.lost and self.need.busy < BUSY and self.late_ms < MAX_LAG_MS


@dataclass
class Figures:
    """Results of a peer after all rounds."""

    does: str
    version: str = ""
    missing: str = ""
    rounds: list[Measurement] = field(default_factory=list)
    tries: list[Measurement] = field(default_factory=list)
    held: int = 0
    at_least: bool = False

    def median(self, name: str) -> float:
        return statistics.median(getattr(measurement.need, name) for measurement in self.rounds)


def measure(peer: Peer, ready: Any, calls: int, seconds: float) -> Measurement:
    """Start the peer's server, load it, and look at what it made of the calls. Raises `Broken`."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        place = Place(free_port(), Path(folder) / "wav")
        place.folder.mkdir()
        return (_feed if peer.fed else _load)(peer, peer.command(ready, place), place, calls, seconds)


def _load(peer: Peer, command: list[str], place: Place, calls: int, seconds: float) -> Measurement:
    with serving(command, place.folder.parent / "stderr") as server:
        server.wait_for("it does not listen", lambda: server.listens(place.port))
        warm, _ = call(place.port, *WARM_UP)
        if peer.rate:
            server.wait_for("the first recordings are not finished", lambda: _recorded(place.folder, WARM_UP[0]))
            for file in place.folder.iterdir():
                file.unlink()
        empty = server.resident()
        load, need = call(place.port, calls, seconds, lambda: server.watch(calls, seconds, empty))
        if peer.rate:
            _wait_until_recorded(place.folder, calls)
        server.process.send_signal(signal.SIGTERM)
        printed = server.end()
    lost = [f"{load[name]} {name}" for name in ("refused", "closed", "blocked", "unclosed") if load[name]]
    lost += faults(place.folder, calls, seconds, peer.rate) if peer.rate else _miscounted(printed, load, warm)
    return Measurement(calls, need, "; ".join(lost), load["lag_p99_ms"], load["cpu_us_per_message"])


def _feed(peer: Peer, command: list[str], place: Place, calls: int, seconds: float) -> Measurement:
    audio = place.folder.parent / "audio"
    with audio.open("wb") as file:
        for number in range(calls):
            file.writelines(mulaw(number, track, seconds) for track in TRACKS)
    errors = place.folder.parent / "stderr"
    with serving([*command, str(calls), str(seconds), str(audio)], errors) as server:
        server.wait_for("it is not ready", lambda: server.said().endswith("ready"))
        empty = server.resident()
        server.tell("go\n")
        server.wait_for("no call talks", lambda: server.said().endswith("talking"))
        need = server.watch(calls, seconds, empty)
        own = json.loads(server.end() or '{"lag_p99_ms": Infinity}')
    lost = [f"fed {own['lag_p99_ms']:.0f} ms late at p99"] if own["lag_p99_ms"] >= MAX_FED_LAG_MS else []
    return Measurement(calls, need, "; ".join([*lost, *faults(place.folder, calls, seconds, peer.rate)]))


def _recorded(folder: Path, calls: int) -> bool:
    """Return whether all recordings have their final names."""
    names = [path.suffix for path in folder.iterdir()]
    return names.count(".wav") >= calls and ".part" not in names


def _wait_until_recorded(folder: Path, calls: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not _recorded(folder, calls) and time.monotonic() < deadline:
        time.sleep(0.05)


def _miscounted(printed: str, load: dict[str, Any], warm: dict[str, Any]) -> list[str]:
    """Compare the counts of a server that records nothing with the load; return the differences."""
    counts = json.loads(printed)
    sent = load["messages"] + warm["messages"]
    wanted = {"messages": sent, "bytes": sent * 160, "wire": load["bytes"] + warm["bytes"]}
    return [f"{counts[name]} {name} of {wanted[name]}" for name in counts if counts[name] < wanted[name]]


def hold(peer: Peer, ready: Any, figures: Figures, seconds: float) -> None:
    """Find the number of calls that a core holds, beginning with the number that the cost of a message suggests."""
    calls = _round(0.85e6 / (figures.median("cpu_us") * MESSAGES_PER_SECOND))
    slowest = None  # the number of calls at which the generator was too slow
    for _ in range(TRIES):
        tried = attempt(peer, ready, calls, seconds)
        figures.tries.append(tried)
        _say(f"{peer.name}: {calls} calls {'held' if tried.held else 'not held'}, {_cost(tried)}")
        if tried.held:
            figures.held = max(figures.held, calls)
        elif not tried.lost and tried.need.busy < BUSY:
            slowest = min(calls, slowest or calls)
        if figures.held and any(not one.held for one in figures.tries):
            break
        calls = _round(calls * min(max(BUSY / tried.need.busy, MIN_STEP), MAX_STEP) if tried.held else calls / MIN_STEP)
    figures.at_least = all(one.held for one in figures.tries) or (slowest is not None and slowest > figures.held > 0)


def attempt(peer: Peer, ready: Any, calls: int, seconds: float) -> Measurement:
    """Call `measure`, and turn `Broken` into a measurement that has failed."""
    try:
        return measure(peer, ready, calls, seconds)
    except Broken as broken:
        return Measurement(calls, Need(0.0, 0.0, 0.0), lost=str(broken))


def _round(calls: float) -> int:
    """Round to two digits."""
    unit = 10 ** max(len(str(int(calls))) - 2, 0)
    return max(int(calls) // unit * unit, 1)


def _cost(one: Measurement) -> str:
    need = one.need
    return f"{need.cpu_us:.1f} us per message, core {need.busy:.0%}, others {need.others:.0%} {_failures(one)}"


def _failures(one: Measurement) -> str:
    late = f"generator {one.late_ms:.0f} ms late" if one.late_ms >= MAX_LAG_MS else ""
    return "; ".join(filter(None, (one.lost, late)))


def compare(peers: Sequence[Peer], rounds: int, calls: int, seconds: float, held: bool) -> dict[str, Figures]:
    """Run all rounds with the peers in turn, then find the number of calls that each peer holds."""
    results = {peer.name: Figures(peer.does) for peer in peers}
    ready: dict[str, Any] = {}
    for peer in peers:
        try:
            ready[peer.name], results[peer.name].version = peer.prepare()
        except Missing as missing:
            results[peer.name].missing = str(missing)
            _say(f"{peer.name}: {missing}")
    peers = [peer for peer in peers if peer.name in ready]
    for number in range(rounds):
        for peer in peers:
            one = attempt(peer, ready[peer.name], calls, seconds)
            for _ in range(RETRIES):
                if one.lost or one.late_ms < MAX_LAG_MS:
                    break
                one = attempt(peer, ready[peer.name], calls, seconds)
            results[peer.name].rounds.append(one)
            _say(f"round {number + 1}, {peer.name}: {_cost(one)}")
    for peer in peers if held else ():
        if results[peer.name].median("cpu_us"):
            hold(peer, ready[peer.name], results[peer.name], seconds)
    return results


def machine() -> dict[str, str]:
    """Describe the machine."""
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ": ?")
    return {
        "cpu": f"{os.cpu_count()} x {model.partition(':')[2].strip()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def table(results: dict[str, Figures]) -> str:
    """Return the results as a Markdown table; the ratio is to the first peer."""
    lines = ["| | does | CPU per message | ratio | memory per call | calls per core | CPU per message then |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    floor = next(iter(results.values()))
    for name, figures in results.items():
        costs = [one.need.cpu_us for one in figures.rounds]
        if not costs or not any(costs):
            why = figures.missing or figures.rounds[0].lost
            lines.append(f"| {name} | {figures.does} | not measured: {why} | | | | |")
            continue
        cost = f"{statistics.median(costs):.1f} µs ({min(costs):.1f} to {max(costs):.1f})"
        ratio = f"{figures.median('cpu_us') / floor.median('cpu_us'):.1f}" if floor.rounds else ""
        held = f"{'>= ' * figures.at_least}{figures.held}" if figures.tries else ""
        then = "".join(f"{one.need.cpu_us:.1f} µs" for one in figures.tries if one.held and one.calls == figures.held)
        failures = sorted({_failures(one) for one in figures.rounds} - {""})
        does = figures.does + "".join(f" **({failure})**" for failure in failures)
        memory = f"{figures.median('kib_per_call'):.0f} KiB"
        lines.append(f"| {name} | {does} | {cost} | {ratio} | {memory} | {held} | {then} |")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description="Put the same calls into flowcore and its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each peer (default 3)")
    parser.add_argument("--calls", type=int, default=50, help="calls at once in a round (default 50)")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each call, from 3 (default 8)")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, default=names, help="; ".join(names))
    parser.add_argument("--no-held", action="store_true", help="do not search for the calls that a core holds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    options = parser.parse_args(arguments)
    if not shutil.which("taskset") or (os.cpu_count() or 1) < 2:
        parser.error("two cores and taskset (util-linux) are needed: one for the server, one for the generator")
    if options.seconds < 3:
        parser.error("calls of less than 3 seconds leave nothing to measure")
    about = machine() | {"calls": str(options.calls)}
    os.sched_setaffinity(0, {LOAD_CORE})  # this process must not disturb the server
    peers = [peer for peer in PEERS if peer.name in options.only]
    results = compare(peers, options.rounds, options.calls, options.seconds, not options.no_held)
    print(f"{', '.join(f'{key}: {value}' for key, value in about.items())}\n\n{table(results)}\n")
    taken = [one.need.others for figures in results.values() for one in figures.rounds + figures.tries]
    print(f"Other processes took up to {max(taken, default=0.0):.0%} of the servers' core.\n")
    for name, figures in results.items():
        print(f"- {name}: {figures.version or figures.missing}")
    if options.json:
        document = {"machine": about, "peers": {name: asdict(figures) for name, figures in results.items()}}
        options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    fine = all(figures.rounds and not any(map(_failures, figures.rounds)) for figures in results.values())
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
