"""Put the same calls into flowcore and its peers, side by side in one run, and print what each needs for them.

    python tools/peers/compare.py [--rounds 3] [--calls 50] [--seconds 8] [--only NAME,…] [--no-held] [--json FILE]

The calls are those of ``tools/load.py``: at real-time pace, 100 messages a second each, with known audio. The server
runs on core 0, the generator on core 1. Measured between two moments inside the load, so that neither start nor set-up
counts: CPU of the server process with all its threads, from its own CPU clock, for each media message; and how much its
resident memory has grown for each call. Afterwards each recording is compared with what was said, sample for sample
(resampled ones by correlation and length). The peers take turns, round after round; figures are medians.

*Calls held* is the largest number tried at which nothing was lost, the generator was in time and the server's core had
at least 5 % left. Where the generator gives out first, the number says so with a ``>=``.

Exit code: 0 everything was measured and whole, 1 not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

import environments  # noqa: E402
from load import TRACKS, call_id, mulaw, samples  # noqa: E402

SERVER_CORE, LOAD_CORE = 0, 1
SETTLE = 1.5
"""Seconds of the load before the first moment of measurement."""

REST = 0.5
"""Seconds of the load after the second one."""

WARM_UP = (2, 1.0)
"""Calls and seconds before a server is measured: what is loaded at the first call counts for none."""

BUSY = 0.95
"""Share of the core from which on a server is not said to hold its calls."""

STEP = 1.15
"""How much more calls are tried after each success."""

TRIES = 5
PATIENCE = 30.0
"""Seconds for a server to begin to listen, or to finish its recordings."""

PER_CALL = 100
"""Media messages a second: two parties, 20 ms each."""

LATE_MS = 20
"""Lag of the generator at p99 from which on it was no real-time sender."""

TAIL = 0.1
"""Seconds that a resampled recording may be shorter: some resamplers keep their last samples."""


@dataclass(frozen=True)
class Place:
    """Where a server is to listen and to write."""

    port: int
    folder: Path


@dataclass(frozen=True)
class Peer:
    """One server that can be loaded."""

    name: str
    does: str
    rate: int
    """Of its recordings in Hz; 0 when it records nothing."""
    prepare: Callable[[], tuple[Any, str]]
    """Installs it; returns what its command needs and its version."""
    command: Callable[[Any, Place], list[str]]
    fed: bool = False
    """It receives nothing: it is its own generator."""


@dataclass
class Measurement:
    """One load of one peer."""

    calls: int
    cpu_us: float
    """Of the server, for each media message."""
    busy: float
    """Share of its core."""
    kib_per_call: float
    generator_us: float
    """CPU of the generator for each message; 0 when there was none."""
    lost: str
    """What went wrong; empty when nothing did."""


@dataclass
class Figures:
    """What is known of a peer after all rounds."""

    does: str
    version: str = ""
    missing: str = ""
    rounds: list[Measurement] = field(default_factory=list)
    tries: list[Measurement] = field(default_factory=list)
    held: int = 0
    at_least: bool = False
    """More calls were not tried: the generator could not have sent them."""

    def median(self, name: str) -> float:
        return statistics.median(getattr(measurement, name) for measurement in self.rounds)


def flowcore() -> tuple[Path, str]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return Path(sys.executable).with_name("flowcore"), f"flowcore {commit.stdout.strip()}"


def run_graph(graph: Path) -> Callable[[Path, Place], list[str]]:
    def command(binary: Path, place: Place) -> list[str]:
        settings = ("--set", f"call.port={place.port}", "--set", f"wav.path={place.folder}/{{call_id}}.wav")
        return [str(binary), "run", str(graph), "--quiet", *settings]

    return command


def pipecat_at(rate: int) -> Callable[[Path, Place], list[str]]:
    script = str(HERE / "pipecat_recorder.py")
    return lambda python, place: [str(python), script, str(place.port), str(place.folder), str(rate)]


def gstreamer_at(rate: int) -> Callable[[Path, Place], list[str]]:
    return lambda binary, place: [str(binary), str(place.folder), str(rate)]


def ws_reader(modules: Path, place: Place) -> list[str]:
    return ["env", f"PEER_MODULES={modules}", "node", str(HERE / "ws_reader.mjs"), str(place.port)]


def bare_reader(_: None, place: Place) -> list[str]:
    return [sys.executable, str(HERE / "bare_reader.py"), str(place.port)]


def bare() -> tuple[None, str]:
    import uvloop

    return None, f"uvloop {uvloop.__version__}"


RECEIVES = "socket, frames, JSON, base64"
PEERS = (
    Peer("bare reader", "socket only", 0, bare, bare_reader),
    Peer("flowcore", f"{RECEIVES}, order, stereo WAV", 8000, flowcore, run_graph(ROOT / "graphs" / "record.yaml")),
    Peer("Node ws", RECEIVES, 0, environments.node, ws_reader),
    Peer("GStreamer", "stereo WAV; fed from memory", 8000, environments.gstreamer, gstreamer_at(8000), fed=True),
    Peer("Pipecat", f"{RECEIVES}, stereo WAV", 8000, environments.pipecat, pipecat_at(8000)),
    Peer("flowcore 16k", "the same at 16 kHz", 16000, flowcore, run_graph(HERE / "record_16k.yaml")),
    Peer("GStreamer 16k", "the same at 16 kHz", 16000, environments.gstreamer, gstreamer_at(16000), fed=True),
    Peer("Pipecat 16k", "the same at 16 kHz", 16000, environments.pipecat, pipecat_at(16000)),
)


class Broken(Exception):
    """A server or the generator did not do its part; the text says which and how."""


def measure(peer: Peer, ready: Any, calls: int, seconds: float) -> Measurement:
    """Start the peer's server, load it, and look at what it made of the calls. Raises `Broken`."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        place = Place(_free_port(), Path(folder) / "wav")
        place.folder.mkdir()
        command = peer.command(ready, place)
        run = _feed if peer.fed else _load
        return run(peer, command, place, calls, seconds)


def _load(peer: Peer, command: list[str], place: Place, calls: int, seconds: float) -> Measurement:
    with _server(command, place) as server:
        _wait(f"{peer.name} does not listen", lambda: _listens(place.port), server)
        warm, _ = _calls(place, *WARM_UP)
        finished = peer.rate == 0 or _recorded(place.folder, WARM_UP[0])
        shutil.rmtree(place.folder)
        place.folder.mkdir()
        empty = _resident(server.pid)
        result, watched = _calls(place, calls, seconds, lambda: _watch(server.pid, calls, seconds, empty))
        lost = _sent_badly(result)
        if peer.rate:
            finished = finished and _recorded(place.folder, calls)
            lost += [] if finished else [f"recordings unfinished after {PATIENCE:.0f} s"]
            lost += _faults(place.folder, calls, seconds, peer.rate)
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=PATIENCE)
    if not peer.rate:
        lost += _miscounted(json.loads(output), result, warm)
    cpu_us, busy, memory = watched
    return Measurement(calls, cpu_us, busy, memory, result["cpu_us_per_message"], "; ".join(lost))


def _feed(peer: Peer, command: list[str], place: Place, calls: int, seconds: float) -> Measurement:
    audio = place.folder.parent / "audio"
    audio.write_bytes(b"".join(mulaw(n, track, seconds) for n in range(calls) for track in TRACKS))
    with _server([*command, str(calls), str(seconds), str(audio)], place, feed=True) as server:
        assert server.stdin is not None
        _hear(server, "ready")
        empty = _resident(server.pid)
        server.stdin.write("go\n")
        server.stdin.flush()
        _hear(server, "talking")
        cpu_us, busy, memory = _watch(server.pid, calls, seconds, empty)
        output, _ = server.communicate(timeout=seconds + PATIENCE)
    result = json.loads(output)
    lost = [f"{result['lag_p99_ms']:.0f} ms late at p99"] if result["lag_p99_ms"] > LATE_MS else []
    lost += _faults(place.folder, calls, seconds, peer.rate)
    return Measurement(calls, cpu_us, busy, memory, 0.0, "; ".join(lost))


def _calls(
    place: Place, calls: int, seconds: float, watch: Callable[[], Any] = lambda: None
) -> tuple[dict[str, Any], Any]:
    """Call the server; ``watch`` runs while the calls talk. Returns the generator's result and the watcher's."""
    url = f"ws://127.0.0.1:{place.port}/"
    command = [sys.executable, str(HERE.parent / "load.py"), "--announce", "--json"]
    command += ["--calls", str(calls), "--seconds", str(seconds), url]
    with subprocess.Popen(_pinned(LOAD_CORE, command), stdout=-1, stderr=-1, text=True) as load:
        _hear(load, "talking")
        watched = watch()
        output, errors = load.communicate()
    if not output:
        raise Broken(f"the generator failed: {errors.strip()}")
    return json.loads(output), watched


def _watch(pid: int, calls: int, seconds: float, empty: int) -> tuple[float, float, float]:
    """CPU in us for each message, share of the core, and KiB for each call, in the middle of the load."""
    time.sleep(SETTLE)
    cpu, begin = _cpu(pid), time.monotonic()
    time.sleep(max(seconds - SETTLE - REST, 0.5))
    cpu, elapsed = _cpu(pid) - cpu, time.monotonic() - begin
    return cpu / (elapsed * calls * PER_CALL) * 1e6, cpu / elapsed, (_resident(pid) - empty) / calls / 1024


def _cpu(pid: int) -> float:
    """Seconds that a process has used on its CPU clock: all threads, also ended ones, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of the kernel


def _resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _sent_badly(result: dict[str, Any]) -> list[str]:
    lost = [f"{result[name]} {name}" for name in ("refused", "closed", "blocked", "unclosed") if result[name]]
    if result["lag_p99_ms"] >= LATE_MS:
        lost.append(f"generator {result['lag_p99_ms']:.0f} ms late at p99")
    return lost


def _miscounted(counts: dict[str, int], result: dict[str, Any], warm: dict[str, Any]) -> list[str]:
    """What a server that records nothing has counted, against what was sent to it."""
    sent = result["messages"] + warm["messages"]
    wanted = {"messages": sent, "bytes": sent * 160, "wire": result["bytes"] + warm["bytes"]}
    return [f"{counts[name]} {name} of {wanted[name]}" for name in counts if counts[name] < wanted[name]]


def _recorded(folder: Path, calls: int) -> bool:
    """Wait until all recordings have their final names."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        names = [path.suffix for path in folder.iterdir()]
        if names.count(".wav") >= calls and ".part" not in names:
            return True
        time.sleep(0.05)
    return False


def _faults(folder: Path, calls: int, seconds: float, rate: int) -> list[str]:
    """Which recordings are not what was said."""
    wrong = [n for n in range(calls) if not whole(folder / f"{call_id(n)}.wav", n, seconds, rate)]
    return [f"{len(wrong)} of {calls} recordings not whole"] if wrong else []


def whole(path: Path, call: int, seconds: float, rate: int) -> bool:
    """Whether a recording holds what both parties of the call said: each sample of it, or its like at another rate."""
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (2, 2, rate):
                return False
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    except (OSError, EOFError, wave.Error):
        return False
    said = np.stack([samples(call, track, seconds) for track in TRACKS], axis=1)
    if rate == 8000:
        return np.array_equal(heard, said)
    step = rate // 8000
    if len(heard) < (seconds - TAIL) * rate:
        return False
    return all(_alike(heard[::step, party], said[:, party]) for party in range(2))


def _alike(heard: NDArray[np.int16], said: NDArray[np.int16]) -> bool:
    """Whether two sounds are the same up to a filter: they correlate, with one delay at the beginning and the end."""
    size = min(len(heard), len(said)) // 2
    lags = []
    for begin in (0, size):
        one, other = (x[begin : begin + size].astype(float) for x in (heard, said))
        product = np.fft.irfft(np.fft.rfft(one, 2 * size) * np.fft.rfft(other, 2 * size).conj())
        lag = int(product.argmax())
        if product[lag] < 0.5 * np.linalg.norm(one) * np.linalg.norm(other):
            return False
        lags.append(lag)
    return abs(lags[0] - lags[1]) <= 1


def hold(peer: Peer, ready: Any, figures: Figures, seconds: float, generator_us: float) -> None:
    """Find the number of calls that one core holds, from what a message costs."""
    most = int(0.85e6 / (max(generator_us, 1.0) * PER_CALL)) if not peer.fed else 1 << 20
    calls = _round(min(0.85e6 / (figures.median("cpu_us") * PER_CALL), most))
    good: int = 0
    for _ in range(TRIES):
        try:
            tried = measure(peer, ready, calls, seconds)
        except Broken as broken:
            tried = Measurement(calls, 0.0, 1.0, 0.0, 0.0, str(broken))
        figures.tries.append(tried)
        held = not tried.lost and tried.busy < BUSY
        _say(f"{peer.name}: {calls} calls {'held' if held else 'not held'}, core {tried.busy:.0%} {tried.lost}")
        if held:
            good = calls
            figures.at_least = _round(calls * STEP) > most
        if (held and figures.at_least) or (good and not held):
            break
        calls = _round(calls * STEP if held else calls / STEP)
    figures.held = good


def _round(calls: float) -> int:
    """To two digits."""
    digits = max(len(str(int(calls))) - 2, 0)
    return max(int(calls) // 10**digits * 10**digits, 1)


@contextmanager
def _server(command: list[str], place: Place, feed: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A server on its core; whatever happens it is gone in the end."""
    errors = -1 if feed else (place.folder.parent / "stderr").open("w")
    server = subprocess.Popen(
        _pinned(SERVER_CORE, command), stdin=-1 if feed else None, stdout=-1, stderr=errors, text=True
    )
    try:
        yield server
    finally:
        if server.poll() is None:
            server.kill()
        server.wait()


def _pinned(core: int, command: Sequence[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def _hear(process: subprocess.Popen[str], word: str) -> None:
    """Wait for a line on the process's stderr."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if line.strip() == word:
            return
        said.append(line)
    raise Broken(f"it never said {word!r}: {''.join(said[-3:]).strip()}")


def _wait(what: str, done: Callable[[], bool], server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if server.poll() is not None or time.monotonic() > deadline:
            raise Broken(what)
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, str]:
    """What was measured on."""
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ": ?")
    return {
        "cpu": f"{os.cpu_count()} x {model.partition(':')[2].strip()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def table(results: dict[str, Figures]) -> str:
    """The results as a Markdown table."""
    reader = results.get(PEERS[0].name)
    floor = reader.median("cpu_us") if reader and reader.rounds else None
    lines = ["| | does | CPU for a message | beside the bare reader | calls held by a core | memory for a call |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    for name, figures in results.items():
        if not figures.rounds:
            lines.append(f"| {name} | {figures.does} | not measured: {figures.missing} | | | |")
            continue
        costs = [measurement.cpu_us for measurement in figures.rounds]
        cost = f"{statistics.median(costs):.1f} µs ({min(costs):.1f}-{max(costs):.1f})"
        ratio = f"{statistics.median(costs) / floor:.1f} x" if floor else ""
        held = f"{'>= ' * figures.at_least}{figures.held}" if figures.tries else ""
        lost = "; ".join(sorted({measurement.lost for measurement in figures.rounds if measurement.lost}))
        does = figures.does + (f" (**lost: {lost}**)" if lost else "")
        lines.append(f"| {name} | {does} | {cost} | {ratio} | {held} | {figures.median('kib_per_call'):.0f} KiB |")
    return "\n".join(lines)


def compare(peers: Sequence[Peer], rounds: int, calls: int, seconds: float, held: bool) -> dict[str, Figures]:
    """All rounds of all peers, one after the other in turns, then the calls that each holds."""
    results = {peer.name: Figures(peer.does) for peer in peers}
    ready: dict[str, Any] = {}
    for peer in peers:
        try:
            ready[peer.name], results[peer.name].version = peer.prepare()
        except environments.Missing as missing:
            results[peer.name].missing = str(missing)
            _say(f"{peer.name}: {missing}")
    peers = [peer for peer in peers if peer.name in ready]
    for number in range(rounds):
        for peer in peers:
            try:
                one = measure(peer, ready[peer.name], calls, seconds)
            except Broken as broken:
                results[peer.name].missing = str(broken)
                _say(f"round {number + 1}, {peer.name}: {broken}")
                continue
            results[peer.name].rounds.append(one)
            _say(f"round {number + 1}, {peer.name}: {one.cpu_us:.1f} us a message, core {one.busy:.0%} {one.lost}")
    measured = [peer for peer in peers if results[peer.name].rounds]
    sent = [one.generator_us for figures in results.values() for one in figures.rounds if one.generator_us]
    for peer in measured if held else ():
        hold(peer, ready[peer.name], results[peer.name], seconds, statistics.median(sent) if sent else 10.0)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description="Put the same calls into flowcore and its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each peer is measured (default 3)")
    parser.add_argument("--calls", type=int, default=50, help="calls at once in a round (default 50)")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each call (default 8)")
    parser.add_argument("--only", metavar="NAME,…", help=f"of: {', '.join(peer.name for peer in PEERS)}")
    parser.add_argument("--no-held", action="store_true", help="do not look for the calls that a core holds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    if not shutil.which("taskset") or (os.cpu_count() or 1) < 2:
        parser.error("two cores and taskset (util-linux) are needed: one for the server, one for the generator")
    wanted = options.only.split(",") if options.only else [peer.name for peer in PEERS]
    peers = [peer for peer in PEERS if peer.name in wanted]
    if len(peers) != len(wanted):
        parser.error(f"--only takes names of: {', '.join(peer.name for peer in PEERS)}")
    os.sched_setaffinity(0, {LOAD_CORE})  # checking recordings must not disturb a server
    about = machine()
    results = compare(peers, options.rounds, options.calls, options.seconds, not options.no_held)
    print(f"{', '.join(f'{key} {value}' for key, value in about.items())}; {options.calls} calls\n\n{table(results)}\n")
    for name, figures in results.items():
        print(f"- {name}: {figures.version or figures.missing}")
    if options.json:
        document = {"machine": about, "calls": options.calls, "peers": {k: asdict(v) for k, v in results.items()}}
        options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    complete = all(figures.rounds and not figures.missing for figures in results.values())
    return 0 if complete and not any(one.lost for figures in results.values() for one in figures.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
