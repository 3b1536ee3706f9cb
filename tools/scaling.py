"""Measure the throughput of several workers against that of one, with all cores for the workers.

    python tools/scaling.py [--calls 300] [--workers 1 2] [--rounds 3]

A load at real-time pace takes a core itself, so on a machine with two cores it cannot show the gain of a second worker.
This tool stops the workers of ``flowcore run graphs/record.yaml``, fills the socket of each call with as much audio as
the kernel holds, and resumes the workers: the time until all audio is in the recordings is theirs alone. The best round
counts, because other programs can only make it longer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from flowcore.control.client import ask
from nodes.simulators.known_audio import mulaw
from nodes.simulators.ringcx import frame
from tests.support.phone import OPEN, Phone

ROOT = Path(__file__).parents[1]
FLOWCORE = Path(sys.executable).with_name("flowcore")
MESSAGE = 160
SECONDS = 3.0
"""Seconds of audio of each call, which the receive buffer of 128 KiB and our send buffer hold."""
HELD_BACK = 0.5
"""Seconds at the end of a call that reorder, chunks and queues may still hold."""


def measure(workers: int, calls: int) -> tuple[float, float, list[int]]:
    """Return the elapsed seconds, the CPU seconds of all workers, and the calls of each worker."""
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder) / "control"
        command = [FLOWCORE, "run", ROOT / "graphs" / "record.yaml", "--workers", workers, "--control", control]
        command += ["--set", "call.port=0", "--set", "call.max_speed=100", "--log-json"]
        command += ["--set", f"wav.path={folder}/{{call_id}}.wav"]
        process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        pids: list[int] = []
        url = ""
        for line in process.stderr:
            event = json.loads(line)
            url = event.get("address", url)
            pids += [event["pid"]] if event["event"] == "worker_started" else []
            if url and len(pids) == (workers if workers > 1 else 0):
                break
        pids = pids or [process.pid]
        log = threading.Thread(target=process.stderr.read)  # a full pipe would block the process
        log.start()
        try:
            return _drain(url, control, Path(folder), calls, pids)
        finally:
            while OPEN:
                OPEN.pop().socket.close()
            process.kill()
            for pid in pids:
                _signal(pid, signal.SIGKILL)
            log.join()
            process.wait()


def _drain(url: str, control: Path, folder: Path, calls: int, pids: list[int]) -> tuple[float, float, list[int]]:
    phones = [Phone(url, f"call{number}") for number in range(calls)]
    for phone in phones:
        phone.start()
    held: list[int] = []
    while sum(held) < calls:
        held = [len(listed) for listed in ask(control, {"ask": "calls"})[0].values()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for number, phone in enumerate(phones):
        _fill(phone, number)
    parts = [folder / f"call{number}.wav.part" for number in range(calls)]
    expected = (SECONDS - HELD_BACK) * 8000 * 2 * 2
    cpu = sum(map(_cpu, pids))
    began = time.perf_counter()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    while parts:
        time.sleep(0.005)
        while parts and parts[-1].exists() and parts[-1].stat().st_size >= expected:
            parts.pop()
    return time.perf_counter() - began, sum(map(_cpu, pids)) - cpu, sorted(held)


def _fill(phone: Phone, number: int) -> None:
    audio = {track: mulaw(number, track, SECONDS) for track in ("agent", "customer")}
    text = b"".join(
        frame(phone.sender.media(track, data[at : at + MESSAGE]))
        for at in range(0, len(audio["agent"]), MESSAGE)
        for track, data in audio.items()
    )
    phone.socket.settimeout(10)
    phone.socket.sendall(text)


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process: fields 14 and 15 of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare one worker with several.")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    messages = options.calls * round(SECONDS / 0.02) * 2
    print(f"{options.calls} calls of {SECONDS:g} s, {messages} messages, {os.cpu_count()} cores")
    print(f"{'workers':>8} {'seconds':>8} {'messages/s':>11} {'CPU us/message':>15}  calls of each")
    for workers in options.workers:
        seconds, cpu, held = min(measure(workers, options.calls) for _ in range(options.rounds))
        print(f"{workers:>8} {seconds:>8.2f} {messages / seconds:>11.0f} {cpu / messages * 1e6:>15.1f}  {held}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
