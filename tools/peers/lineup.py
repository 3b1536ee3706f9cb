"""The servers that are compared: what each does with a call, its installation, and its command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools.peers import environments

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Place:
    """Port and folder of a server."""

    port: int
    folder: Path


@dataclass(frozen=True)
class Peer:
    """A server under test."""

    name: str
    does: str
    rate: int
    """Sample rate of its recordings in Hz; 0 for a server that records nothing and prints its counts on SIGTERM."""
    prepare: Callable[[], tuple[Any, str]]
    """Install the server; return the argument of ``command``, and the version."""
    command: Callable[[Any, Place], list[str]]
    fed: bool = False
    """Whether the server is its own generator: then it takes calls, seconds and a file of audio as arguments."""


def _flowcore() -> tuple[Path, str]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return Path(sys.executable).with_name("flowcore"), f"flowcore {version('flowcore')} {commit.stdout}".strip()


def _flowcore_runs(graph: Path) -> Callable[[Path, Place], list[str]]:
    def command(binary: Path, place: Place) -> list[str]:
        settings = ("--set", f"call.port={place.port}", "--set", f"wav.path={place.folder}/{{call_id}}.wav")
        return [str(binary), "run", str(graph), "--quiet", "--call-log", "none", *settings]  # the peers keep none

    return command


def _pipecat_at(rate: int) -> Callable[[Path, Place], list[str]]:
    script = str(HERE / "pipecat_recorder.py")
    return lambda python, place: [str(python), script, str(place.port), str(place.folder), str(rate)]


def _gstreamer_at(rate: int) -> Callable[[Path, Place], list[str]]:
    return lambda binary, place: [str(binary), str(place.folder), str(rate)]


def _ws_reader(modules: Path, place: Place) -> list[str]:
    return ["env", f"PEER_MODULES={modules}", "node", str(HERE / "ws_reader.mjs"), str(place.port)]


def _bare_reader(_: None, place: Place) -> list[str]:
    return [sys.executable, str(HERE / "bare_reader.py"), str(place.port)]


def _uvloop() -> tuple[None, str]:
    import uvloop

    return None, f"uvloop {uvloop.__version__}"


READS = "socket, frames, JSON, base64"
RECORDS = f"{READS}, stereo WAV"
RECORD, RECORD_16K = ROOT / "graphs" / "record.yaml", HERE / "record_16k.yaml"
PEERS = (
    Peer("bare reader", "socket", 0, _uvloop, _bare_reader),
    Peer("Node ws", READS, 0, environments.node, _ws_reader),
    Peer("flowcore", RECORDS, 8000, _flowcore, _flowcore_runs(RECORD)),
    Peer("Pipecat", RECORDS, 8000, environments.pipecat, _pipecat_at(8000)),
    Peer("GStreamer", "stereo WAV, from memory", 8000, environments.gstreamer, _gstreamer_at(8000), fed=True),
    Peer("flowcore, 16 kHz", f"{RECORDS}, resampled", 16000, _flowcore, _flowcore_runs(RECORD_16K)),
    Peer("Pipecat, 16 kHz", f"{RECORDS}, resampled", 16000, environments.pipecat, _pipecat_at(16000)),
    Peer(
        "GStreamer, 16 kHz",
        "stereo WAV, from memory, resampled",
        16000,
        environments.gstreamer,
        _gstreamer_at(16000),
        fed=True,
    ),
)
