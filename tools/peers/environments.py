"""Environments of the peers, each under ``tools/peers/env`` and made when it is first needed.

None of the peers is a dependency of the project. An environment that cannot be made raises `Missing` with advice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENV = HERE / "env"
DEBS = ("gcc", "libc6-dev", "pkg-config", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good")
DEBS += ("libgstreamer1.0-dev", "libgstreamer-plugins-base1.0-dev")


class Missing(Exception):
    """Raised when a peer cannot be measured here; the text says what is missing."""


def pipecat() -> tuple[Path, str]:
    """Return the Python of an environment with the newest Pipecat, and the versions in it."""
    python = _folder() / "pipecat" / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", "import pipecat, uvloop"], capture_output=True).returncode:
        _say("Pipecat, from PyPI")
        _run("venv for Pipecat", sys.executable, "-m", "venv", str(ENV / "pipecat"))
        packages = ("pipecat-ai[websocket]", "uvicorn[standard]")
        _run("Pipecat from PyPI", str(python), "-m", "pip", "install", "--quiet", "--upgrade", *packages)
    names = ("pipecat-ai", "uvicorn", "uvloop", "websockets")
    code = f"from importlib.metadata import version; print(*(n + ' ' + version(n) for n in {names}), sep=', ')"
    return python, _run("Pipecat's version", str(python), "-c", code)


def node() -> tuple[Path, str]:
    """Return a folder with ``node_modules/ws``, and the versions in it."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Missing("Node.js is missing: install node and npm, version 20 or newer")
    folder = _folder() / "node"
    folder.mkdir(exist_ok=True)
    if not (folder / "node_modules" / "ws").exists():
        _say("ws, from npm")
        _run("ws from npm", "npm", "install", "--silent", "--prefix", str(folder), "ws", "bufferutil")
    versions = [
        f"{name} {json.loads((folder / 'node_modules' / name / 'package.json').read_text())['version']}"
        for name in ("ws", "bufferutil")
    ]
    return folder, ", ".join([f"node {_run('node', 'node', '--version').lstrip('v')}", *versions])


def gstreamer() -> tuple[Path, str]:
    """Build the recorder of ``gst_recorder.c``; return its path, and the version of GStreamer."""
    source, binary = HERE / "gst_recorder.c", _folder() / "gst_recorder"
    packages = ("gstreamer-1.0", "gstreamer-app-1.0")
    if not shutil.which("pkg-config") or subprocess.run(["pkg-config", "--exists", *packages]).returncode:
        if not shutil.which("apt-get") or os.getuid() != 0:
            raise Missing(f"GStreamer is missing: as root, apt-get install {' '.join(DEBS)}")
        _say("GStreamer, from Debian")
        _run("apt-get update", "apt-get", "update", "-qq")
        _run("GStreamer from Debian", "apt-get", "install", "-y", "-qq", "--no-install-recommends", *DEBS)
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        flags = _run("pkg-config", "pkg-config", "--cflags", "--libs", *packages).split()
        _run("gcc", "gcc", "-O2", "-o", str(binary), str(source), *flags)
    return binary, f"GStreamer {_run('pkg-config', 'pkg-config', '--modversion', 'gstreamer-1.0')}"


def _folder() -> Path:
    ENV.mkdir(exist_ok=True)
    (ENV / ".gitignore").write_text("*\n")
    return ENV


def _say(what: str) -> None:
    print(f"installing {what} …", file=sys.stderr, flush=True)


def _run(what: str, *command: str) -> str:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Missing(f"{what} failed: {' / '.join(last)}")
    return done.stdout.strip()
