"""`flowcore perfetto`: the work of one live call, whichever worker holds it, as a file for ui.perfetto.dev."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.perfetto import read
from tests.support.phone import Phone
from tests.support.service import FLOWCORE, Service


def perfetto(service: Service, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [FLOWCORE, "perfetto", *arguments, "--control", service.control]
    return subprocess.run(map(str, command), capture_output=True, text=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_live_call_is_recorded_until_it_ends_by_any_of_its_ids(tmp_path, workers):
    file = tmp_path / "work.json"
    with Service(tmp_path, workers=workers) as service:
        phones = [Phone(service.url, call, ani=f"+1415555010{number}") for number, call in enumerate(("one", "two"))]
        for phone in phones:
            phone.start()
            phone.talk(1, 1.0)
        service.until(lambda calls: len(calls) == 2)
        done = perfetto(service, "+14155550101", "--for", "1s", "-o", file)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{file}: ")
        gone = perfetto(service, "three")
        assert (gone.returncode, "there is no live call 'three'" in gone.stderr) == (2, True)
        service.stop()
    flows = {event["args"]["name"] for event in read(file) if event["name"] == "process_name"}
    assert len(flows) == 1


@pytest.mark.parametrize("lasts", ["0s", "11min", "fast"])
def test_a_wrong_length_is_refused(tmp_path, flowcore, lasts):
    done = flowcore("perfetto", "newest", "--for", lasts, "--control", tmp_path / "none")
    assert (done.code, "--for" in done.err) == (2, True)
