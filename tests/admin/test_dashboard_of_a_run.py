"""The dashboard of a real run, with two workers, during calls of `flowcore simulate` and after them."""

import subprocess
import wave

import numpy as np
import pytest
from playwright.sync_api import expect

from flowcore.admin.settings import TOKEN
from tests.support.admin_api import SECRET
from tests.support.live import PATIENCE
from tests.support.service import FLOWCORE, Service
from tests.support.watching import browser

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)
RATE, SECONDS = 8000, 6


def voice(path, loud_from):
    """Write a party that speaks for two seconds."""
    samples = np.zeros(RATE * SECONDS, "<i2")
    samples[RATE * loud_from : RATE * (loud_from + 2)] = 8000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return str(path)


@pytest.mark.fault(94)
def test_calls_are_seen_live_and_their_pages_tell_them_after_their_end(tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, SECRET)
    voices = ["--agent", voice(tmp_path / "a.wav", 1), "--caller", voice(tmp_path / "c.wav", 3)]
    with Service(tmp_path, "--admin", "0") as service, browser() as chromium:
        address = service.heard("admin_opened")[0]["address"]
        page = chromium.new_page()
        page.goto(address)
        page.get_by_label("Token").fill(SECRET)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#empty")).to_contain_text("No calls now.")
        expect(page.locator("#processes tr")).to_have_count(2)
        phones = subprocess.Popen([FLOWCORE, "simulate", "-q", *voices, "--calls", "4", service.url])
        rows = page.locator("#rows tr")
        expect(rows).to_have_count(4)
        rows.first.get_by_role("link").click()
        expect(page.locator("#nodes tr").first).to_contain_text("call ringcx")
        expect(page.locator("#state")).to_have_text("Live")
        assert phones.wait(PATIENCE) == 0
        expect(page.locator("#state")).to_have_text("Ended")
        expect(page.locator("#files li").first).to_contain_text("Agent and Customer · complete")
        expect(page.locator("#stretches tr")).to_have_count(2)
        talk = [row.locator("td").all_text_contents() for row in page.locator("#stretches tr").all()]
        assert [(party, what) for _, _, party, what in talk] == [("Agent", "Talk"), ("Customer", "Talk")]
        page.get_by_role("link", name="Ended calls").click()
        expect(page.locator("#rows tr")).to_have_count(4)
        assert service.stop() == 0
        expect(page.get_by_role("alert")).to_contain_text("This page tries again by itself.")
        log = [str(event) for event in service.events]
        assert not [line for line in log if SECRET in line or "flowcore_" in line]
