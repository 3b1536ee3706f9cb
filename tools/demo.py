"""The demo: one simulated call with two real voices, transcribed and recorded, with the commands a user would type."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOWCORE = str(Path(sys.executable).with_name("flowcore"))


def main() -> int:
    port = _free_port(3333)
    with tempfile.TemporaryDirectory(prefix="flowcore-demo-") as folder:
        voices = [sys.executable, str(ROOT / "tools" / "voices.py"), folder]
        subprocess.run(voices, check=True, stdout=subprocess.DEVNULL)
        run = [FLOWCORE, "run", "graphs/transcribe.yaml", "--calls", "1"]
        run += ["--set", f"call.port={port}"] if port != 3333 else []
        url = f"ws://127.0.0.1:{port}/"
        call = [
            FLOWCORE,
            "simulate",
            "--quiet",
            "--agent",
            f"{folder}/agent.wav",
            "--caller",
            f"{folder}/caller.wav",
            url,
        ]
        print(f"$ {' '.join(['flowcore', *run[1:]])} &", flush=True)
        server = subprocess.Popen(run, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        for line in server.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            if "listener_opened" in line:
                break
        else:
            return server.wait() or 1
        print(f"$ {' '.join(['flowcore', *call[1:]])}", flush=True)
        client = subprocess.Popen(call, cwd=ROOT)
        for line in server.stderr:
            print(line, end="", file=sys.stderr, flush=True)
        return client.wait() or server.wait()


def _free_port(wanted: int) -> int:
    """Return the wanted port, or any free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no free port on 127.0.0.1")


if __name__ == "__main__":
    sys.exit(main())
