"""Run the fake of OpenAI's transcription: ``python -m tools.fake_openai --help``."""

from __future__ import annotations

import argparse
import threading

from . import FileService, RealtimeService
from .rules import KEY

HELP = f"""Fake OpenAI's transcription for any client on this machine: no account, no network, no cost.

The key is {KEY}. Realtime sessions hear one artificial language only, which
`python -m tools.fake_google --write` speaks; the text of a file is its length.

  python -m tools.fake_google --write agent.wav --seconds 60
  python -m tools.fake_openai &
  OPENAI_API_KEY={KEY} flowcore run graphs/google.yaml \\
    --set words.engine='{{use: openai_realtime, url: "http://127.0.0.1:8801/v1"}}'
"""


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m tools.fake_openai", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--port", type=int, default=8800, help="port of files; the next is that of sessions")
    port = options.parse_args().port
    files = FileService(lambda samples: f"{len(samples) / 16000:.1f} seconds", port=port)
    with files, RealtimeService(port=port + 1) as sessions:
        print(f"files at {files.url}, sessions at {sessions.url}; Ctrl-C ends them", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(files.requests)} files, {len(sessions.sessions)} sessions")


if __name__ == "__main__":
    main()
