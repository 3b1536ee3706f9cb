"""Runs every command of the page of the admin API against a run with a live call."""

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from flowcore.admin.settings import TOKEN
from tests.support.admin_api import SECRET
from tests.support.phone import Phone
from tests.support.service import Service

PAGE = (Path(__file__).parents[2] / "docs" / "admin-api.md").read_text()
COMMANDS = re.findall(r"^\$ (curl .*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.M)
ADDRESS = "http://127.0.0.1:9090"
POLL_INTERVAL = 0.1


def words(line):
    """Return a pattern for the words of a line in their order; ``…`` matches any text within a line."""
    return ".*?".join(r"\s+".join(map(re.escape, part.split())) for part in line.split("…"))


@pytest.mark.slow
def test_commands_print_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, SECRET)
    assert len(COMMANDS) == 13
    with Service(tmp_path, "--admin", "0", workers=1) as service:
        address = service.heard("admin_opened")[0]["address"]
        phone = Phone(service.url, "uii-17")
        phone.start()
        service.until(lambda calls: len(calls) == 1)
        for number, (command, printed) in enumerate(COMMANDS):
            wanted = re.compile(r"[\s\S]*?".join(map(words, printed.splitlines())) or "RIFF")
            printing = tmp_path / f"{number}.txt"
            output = tmp_path / "call.wav" if "-o call.wav" in command else printing
            typed = ["bash", "-c", f"exec {command.replace(ADDRESS, address)}"]
            with printing.open("w") as out, subprocess.Popen(typed, cwd=tmp_path, stdout=out) as running:
                while not (output.exists() and wanted.match(output.read_bytes().decode(errors="replace"))):
                    phone.talk(7, POLL_INTERVAL)  # for taps
                    httpx.get(f"{address}/v1/calls", trust_env=False)  # an event: a client without the token
                    with suppress(subprocess.TimeoutExpired):
                        running.wait(POLL_INTERVAL)
                running.terminate()  # a stream
