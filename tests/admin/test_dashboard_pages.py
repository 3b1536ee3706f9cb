"""The dashboard in a real Chromium, with real calls."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
from playwright.sync_api import expect

from flowcore.admin import streams
from flowcore.call_log.database import Database
from tests.admin.test_call_files import recording, text
from tests.call_log.rig import ended
from tests.support.admin_api import SECRET, api
from tests.support.asking import call, hub
from tests.support.live import PATIENCE, until
from tests.support.watching import browser

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)  # its own 5 s are few for a browser on a busy machine

READ = "r3ad-MARKER-4711-of-32-characters"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>&amp;"
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
PAGES = ("", "ended", "graph")


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@contextmanager
def opened(chromium, **options):
    """A page that fails the test at whatever goes wrong in it."""
    context = chromium.new_context(**{"viewport": {"width": 1100, "height": 700}, **options})
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def page(chromium):
    with opened(chromium) as one:
        yield one


def sign_in(page, served, path="", token=SECRET):
    page.goto(f"{served.url}/dashboard/{path}")
    page.get_by_label("Token").fill(token)
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/dashboard/{path}")


def state(page, wanted):
    expect(page.locator("#state")).to_have_attribute("data-state", wanted)


def talk_until(phone, condition):
    """Let both parties talk until something has come of it."""

    def is_so():
        phone.talk(7, 0.1)
        return condition()

    until(is_so)


@pytest.mark.fault(94)
def test_signing_in_leads_to_the_page_that_was_wanted_and_the_token_stays_nowhere(page, served):
    page.goto(f"{served.url}/dashboard/graph")
    token = page.get_by_label("Token")
    expect(token).to_be_focused()
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()
    token.fill("wr0ng-MARKER-0815")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This is not the token of this flowcore.")
    expect(token).to_be_focused()
    token.fill(SECRET)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/dashboard/graph")
    state(page, "live")
    kept = (
        "() => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href, document.body.innerHTML])"
    )
    assert SECRET not in page.evaluate(kept)
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto(f"{served.url}/dashboard/")
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_link_to_another_site_cannot_be_hidden_in_the_address_of_the_sign_in(page, served):
    page.goto(f"{served.url}/dashboard/sign-in#https%3A%2F%2Fattacker.example")
    page.get_by_label("Token").fill(SECRET)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{served.url}/dashboard/")


def test_a_call_appears_with_its_levels_and_goes_when_it_ends(page, live, served):
    sign_in(page, served)
    expect(page.locator("#empty")).to_have_text("No calls now. They appear here when they begin.")
    phone = call(live, "one")
    row = page.get_by_role("row", name="one")
    expect(row).to_be_visible()
    meter = row.get_by_role("meter", name="Level of Agent")
    talk_until(phone, lambda: meter.count() and int(meter.get_attribute("aria-valuenow")) > -60)
    phone.stop()
    phone.hang_up()
    expect(page.locator("#empty")).to_be_visible()
    expect(page.get_by_role("table", name="Live calls")).to_be_hidden()


def test_a_call_is_found_by_a_part_of_its_id(page, live, served):
    phones = [call(live, name) for name in ("one-17", "two-18")]
    sign_in(page, served)
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(2)
    page.get_by_label("Find").fill("o-18")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("two-18")
    page.get_by_label("Find").fill("nobody")
    expect(page.locator("#empty")).to_contain_text("No live call has an id with “nobody” in it.")
    assert len(phones) == 2


def test_a_call_is_paused_and_ended_with_the_keyboard_alone(page, live, served):
    call(live, "one").talk(7, 0.2)
    sign_in(page, served)
    row = page.get_by_role("row", name="one")
    row.get_by_role("button", name="Pause call one").focus()
    page.keyboard.press("Enter")
    expect(row.get_by_text("paused", exact=True)).to_be_visible()
    expect(page.locator("#told")).to_have_text("one is paused: silence is recorded.")
    resume = row.get_by_role("button", name="Resume call one")
    expect(resume).to_be_focused()  # it stays where it was
    page.keyboard.press("Enter")
    expect(row.get_by_text("paused", exact=True)).to_be_hidden()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="End the call one now?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert len(live.engine.flows) == 1
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#empty")).to_be_visible()
    assert live.named("flow_closed")[0].data["reason"] == "operator"


def test_a_token_that_only_reads_shows_no_buttons_for_more(page, live, control):
    call(live, "one").talk(7, 0.2)
    with api(control, SECRET, tokens={"admin": SECRET, "read": READ}) as served:
        sign_in(page, served, token=READ)
        page.get_by_role("link", name="one").click()
        expect(page.get_by_role("heading", name="one")).to_be_visible()
        expect(page.get_by_role("group", name="Control this call")).to_be_hidden()
        page.get_by_role("button", name="Listen").click()
        expect(page.locator("#listening")).to_have_text("Listening needs the token of FLOWCORE_ADMIN_TOKEN.")


def test_one_party_is_muted_on_the_page_of_a_call(page, live, served):
    call(live, "one").talk(7, 0.2)
    sign_in(page, served)
    page.get_by_role("link", name="one").click()
    page.get_by_role("button", name="Mute Customer").click()
    expect(page.locator("#told")).to_have_text("Customer: muted. Silence is recorded.")
    expect(page.locator(".level[data-track=customer] .badge")).to_be_visible()
    [flow] = live.engine.flows.values()
    assert flow.silencing.muted == {"customer"}
    page.get_by_role("button", name="Unmute Customer").click()
    expect(page.get_by_role("button", name="Mute Customer")).to_be_visible()


@pytest.mark.fault(93)
def test_what_a_peer_says_of_a_call_is_never_markup(page, live, served):
    call(live, HOSTILE).talk(7, 0.2)
    sign_in(page, served)
    link = page.locator("#rows a")
    expect(link).to_have_text(HOSTILE)
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator("#events")).to_contain_text("flow_opened")
    assert page.locator("main img, main script").count() == 0
    assert page.title() == f"{HOSTILE} – flowcore"


@pytest.mark.fault(93)
def test_even_markup_that_got_in_could_run_nothing(chromium, served):
    page = chromium.new_page()
    sign_in(page, served)
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("markup => document.body.insertAdjacentHTML('beforeend', markup)", HOSTILE)
    with pytest.raises(Exception, match="TrustedScript"):
        page.evaluate("document.createElement('script').text = 'document.title = 1'")
    assert page.title() == "Calls – flowcore"
    page.context.close()


def test_an_engine_that_is_away_is_told_and_the_page_recovers_by_itself(page, live, tmp_path):
    with hub(live) as control:
        pass
    with api(control, SECRET) as served:
        sign_in(page, served)
        state(page, "lost")
        expect(page.get_by_role("alert")).to_contain_text("This page tries again by itself.")
        expect(page.locator("main")).to_have_class("stale")
        with hub(live):
            state(page, "live")
            expect(page.locator("main")).not_to_have_class("stale")
            expect(page.get_by_role("alert")).to_be_hidden()


def row(number, **more):
    """A row of 300: of calls that no test could hold at once."""
    return {
        "flow": f"f{number}",
        "call_id": f"call {number}",
        "worker": 1,
        "since": "2026-12-24T18:15:00+01:00",
        "age_s": number,
        "version": "1-0",
        "state": "running",
        "paused": False,
        "muted": [],
        "on_hold": False,
        "parties": ["agent", "customer"],
        "levels": {"agent": -20 - number % 30, "customer": None},
        "lost_ms": 0,
        "lost_recent_ms": 0,
        "lost": {},
        "queue_ms": 0,
        "worst_queue": None,
        "latency_ms": 1.0,
        "delay_ms": 1,
        "failed": [],
        **more,
    }


def answer_with(page, rows, matched):
    """Answer the page's questions with these rows; the request for the state of the run goes to the real one."""

    def answer(route):
        real = route.fetch().json()
        query = dict(part.split("=") for part in route.request.url.partition("?")[2].split("&"))
        offset = int(query["offset"])
        real |= {"calls": rows()[offset : offset + int(query["limit"])], "matched": matched}
        route.fulfill(json=real)

    page.route("**/v1/live?*", answer)


def test_of_300_calls_only_what_changed_is_drawn_and_a_row_in_use_stays(page, served):
    listed = [row(number) for number in range(300)]
    answer_with(page, lambda: listed, 300)
    sign_in(page, served)
    expect(page.locator("#rows tr")).to_have_count(200)
    expect(page.locator("#range")).to_have_text("1–200 of 300 calls")
    page.evaluate(
        """() => {
          window.changes = [];
          const options = { childList: true, subtree: true, characterData: true };
          new MutationObserver((records) => changes.push(...records)).observe(document.getElementById("rows"), options);
        }"""
    )
    end = page.get_by_role("button", name="End call call 7", exact=True)
    end.focus()
    listed[7] = row(7, lost_ms=40)
    listed.reverse()
    listed[0], listed[292] = listed[292], listed[0]
    expect(page.get_by_role("row", name="call 7 Agent")).to_contain_text("40 ms")
    expect(end).to_be_focused()
    moved = page.evaluate("changes.filter((one) => one.target.id === 'rows' && one.removedNodes.length).length")
    texts = page.evaluate("changes.filter((one) => one.target.closest?.('td.number')).length")
    assert moved <= 200  # those that are on the other page now
    assert texts <= 10
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#range")).to_have_text("201–300 of 300 calls")


def test_the_picture_of_the_graph_has_numbers_on_its_wires(page, live, served):
    phone = call(live, "one")
    sign_in(page, served, "graph")
    number = page.locator("#picture text.live").first
    talk_until(phone, lambda: number.count() and "×" in (number.text_content() or ""))
    row = page.get_by_role("row", name="ordered reorder")
    expect(row).to_be_visible()
    assert page.locator("#picture rect.queue").count() == 1
    assert (
        page.locator("#picture text.live").count() == page.locator("#picture rect.label, #picture rect.queue").count()
    )


def test_a_supervisor_hears_a_call_until_it_ends(page, live, served):
    phone = call(live, "one")
    sign_in(page, served)
    page.get_by_role("link", name="one").click()
    phone.talk(7, 0.2)
    page.get_by_role("button", name="Listen").click()
    expect(page.locator("#listening")).to_have_text("Listening.")
    heard = page.locator("#listen")
    talk_until(phone, lambda: float(heard.get_attribute("data-played") or 0) > 0.3)
    expect(page.locator("#behind")).to_contain_text("s behind")
    assert int(page.get_by_role("meter", name="Level of Customer").get_attribute("aria-valuenow")) > -60
    phone.stop()
    phone.hang_up()
    expect(page.locator("#listening")).to_have_text("The call has ended.")
    state(page, "ended")


def test_listening_can_be_stopped_and_then_somebody_else_can_listen(page, live, served, monkeypatch):
    phone = call(live, "one")
    sign_in(page, served)
    monkeypatch.setattr(streams, "MAX_TAPS", 1)
    page.get_by_role("link", name="one").click()
    phone.talk(7, 0.2)
    heard = page.locator("#listen")
    for _ in range(2):
        page.get_by_role("button", name="Listen", exact=True).click()
        expect(page.locator("#listening")).to_have_text("Listening.")
        talk_until(phone, lambda: float(heard.get_attribute("data-played") or 0) > 0.3)
        page.get_by_role("button", name="Stop listening").click()
        expect(page.locator("#listening")).to_be_empty()
        heard.evaluate("one => delete one.dataset.played")


def test_one_listener_too_many_is_told_why(page, live, served, monkeypatch):
    call(live, "one").talk(7, 0.2)
    sign_in(page, served)
    monkeypatch.setattr(streams, "MAX_TAPS", 0)
    page.get_by_role("link", name="one").click()
    page.get_by_role("button", name="Listen").click()
    expect(page.locator("#listening")).to_have_text("0 taps are open already.")


PLAYED = """async (batches) => {
  let Player;
  Object.assign(globalThis, {
    AudioWorkletProcessor: class { port = { postMessage() {} }; },
    registerProcessor: (name, made) => (Player = made),
    sampleRate: 8000,
    currentTime: 0,
  });
  await import("./player-worklet.js");
  const player = new Player(), played = [];
  for (const chunks of batches) {
    for (const [track, start, samples] of chunks)
      player.port.onmessage({ data: { track, start, samples: new Float32Array(samples) } });
    for (let slice = 0; slice < 16; slice++) {
      const out = new Float32Array(128);
      player.process([], [[out]]);
      played.push(...out);
    }
  }
  return played;
}"""
"""The player without its thread: it plays 2048 samples after each batch of chunks."""
LENGTH, MARGIN = 800, 480
"""Samples of a chunk, and those that wait beyond it."""


def sound(places):
    """What the agent says at these places of the call: no two are alike."""
    return [(place + 1) / 10000 for place in places]


def test_the_player_mixes_both_parties_and_fills_what_is_missing_with_silence(page, served):
    sign_in(page, served)
    agent = [("agent", start, sound(range(start, start + LENGTH))) for start in (0, 800, 2400)]
    customer = [("customer", start, [0.25] * LENGTH) for start in (0, 800, 1600, 2400)]
    played = page.evaluate(PLAYED, [[*agent, *customer]])
    wanted = [0.25 + (0 if 1600 <= place < 2400 else sound([place])[0]) for place in range(2048)]
    assert played == pytest.approx(wanted, abs=1e-6)


def test_after_a_stall_the_player_goes_on_where_it_was_and_repeats_nothing(page, served):
    sign_in(page, served)
    chunks = [("agent", start, sound(range(start, start + LENGTH))) for start in range(0, 6400, LENGTH)]
    played = page.evaluate(PLAYED, [chunks[:2], [], chunks[2:4], chunks[4:]])
    heard = [round(sample * 10000) - 1 for sample in played if sample]
    assert heard == list(range(1600 + 1600 + 2048))


def test_a_player_that_is_too_far_behind_skips_to_the_newest_audio(page, served):
    sign_in(page, served)
    chunks = [("agent", start, sound(range(start, start + LENGTH))) for start in range(0, 16000, LENGTH)]
    played = page.evaluate(PLAYED, [chunks])
    heard = [round(sample * 10000) - 1 for sample in played if sample]
    assert heard == list(range(16000 - LENGTH - MARGIN, 16000))


def chrome_of(page, path, served):
    page.goto(f"{served.url}/dashboard/{path}")
    state(page, "live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 360])
def test_every_page_is_accessible_and_fits_the_screen(chromium, live, served, scheme, width):
    call(live, "one").talk(7, 0.2)
    viewport = {"width": width, "height": 700}
    with opened(chromium, color_scheme=scheme, viewport=viewport, reduced_motion="reduce") as page:
        sign_in(page, served)
        [flow] = live.engine.flows
        for path in (*PAGES, f"call#{flow}"):
            chrome_of(page, path, served)
            page.wait_for_function("document.querySelector('h1').textContent")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            found = page.evaluate(f"{AXE}; axe.run()")
            problems = [
                (one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found["violations"]
            ]
            assert problems == [], f"{path}: {json.dumps(problems, indent=1)}"
        dark = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(20, 23, 27)"
        assert dark == (scheme == "dark")


def test_a_screen_reader_gets_a_table_and_hears_only_changes_of_the_state(page, live, served):
    call(live, "one").talk(7, 0.2)
    sign_in(page, served)
    expect(page.get_by_role("row", name="one")).to_be_visible()
    table = page.get_by_role("table", name="Live calls")
    heads = [head.text_content() for head in table.get_by_role("columnheader").all()]
    assert heads == ["Call", "Parties and levels", "Age", "Lost", "Fullest queue", "Latency", "Actions"]
    assert table.get_by_role("rowheader").all_text_contents() == ["one"]
    status = page.locator("[role=status]:visible")
    assert status.all_text_contents() == ["Live"]
    page.evaluate(
        """() => {
          window.said = 0;
          const options = { childList: true, characterData: true, subtree: true };
          const watch = new MutationObserver(() => (said += 1));
          const live = document.querySelectorAll("[role=status], [role=alert], [aria-live]");
          for (const one of live) watch.observe(one, options);
        }"""
    )
    age = page.locator("td[data-label=Age]").first
    before = age.text_content()
    expect(age).not_to_have_text(before)
    assert page.evaluate("said") == 0


def test_the_keyboard_reaches_all_in_the_order_of_the_page(page, live, served):
    call(live, "one").talk(7, 0.2)
    sign_in(page, served)
    expect(page.get_by_role("row", name="one")).to_be_visible()
    page.locator("body").press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.textContent.trim().split('\\n')[0] || document.activeElement.id")
        )
    assert reached == ["Calls", "Ended calls", "Graph", "Sign out", "match", "oldest first", "one", "Pause", "End"]


BEGAN = datetime(2026, 12, 24, 18, 15, tzinfo=UTC)


@pytest.fixture
def history(tmp_path):
    """A call log with one ended call: its files, a hold, a gap, words and a mute."""
    about = {
        "complete": False,
        "end": "call",
        "seconds": 20.0,
        "holds": [{"start": 12.0, "end": 15.0}],
        "gaps": [{"start": 6.0, "end": 6.5, "reason": "lost", "node": "ordered", "track": "customer"}],
    }
    agent, customer = [(1.0, False), (4.0, True), (15.0, False)], [(8.0, False), (4.0, True), (8.0, False)]
    wav = recording(tmp_path / "one.wav", agent, customer, about=about)
    silent = [{"start": 16.0, "end": 18.0, "reason": "paused", "track": "customer"}]
    silent.append({"start": 18.5, "end": 19.0, "reason": "untranscribed", "track": "customer"})
    spoken = {"transcript": "one.jsonl", "complete": False, "gaps": [*about["gaps"], *silent]}
    (tmp_path / "one.jsonl.json").write_text(json.dumps(spoken))
    (tmp_path / "one.jsonl").write_text(
        "\n".join([text("agent", 1.0, "How can I help?", 0), text("customer", 8.0, HOSTILE, 0, uncertain=True)])
    )
    times = {"started": BEGAN, "ended": BEGAN + timedelta(seconds=20)}
    lost = {"ordered": {"lost": {"chunks": 25, "ms": 500.0}}}
    row = ended("flow-1", 500, call_id="c-4711", seconds=20.0, lost=lost, delay_ms=41, words=9, failures=[], **times)
    row |= {"parties": ["agent", "customer"], "attributes": {"ani": HOSTILE}, "ids": {"session_id": "7"}}
    row |= {"silenced": [["customer", 16.0, 18.0]], "host": socket.gethostname()}
    row["files"] = [{"path": wav["path"], "sha256": "5e" * 32}, {"path": str(tmp_path / "one.jsonl"), "sha256": None}]
    row["files"].append({"path": str(tmp_path / "moved.wav"), "sha256": "00" * 32})
    database = Database(str(tmp_path / "calls.sqlite"))
    database.add([row])
    database.close()
    return tmp_path / "calls.sqlite"


@pytest.mark.fault(93)
def test_the_page_of_an_ended_call_tells_what_happened_when(page, control, history):
    with api(control, SECRET, call_log=history) as served:
        sign_in(page, served, "ended")
        page.locator("#since").select_option("at any time")
        row = page.get_by_role("row", name="c-4711")
        expect(row).to_contain_text("ordered: lost 500 ms")
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("c-4711")
        state(page, "ended")
        timeline = page.get_by_role("img", name="Timeline of 0:20: 1 gap of lost audio, 500 ms in all, 1 hold")
        expect(timeline).to_be_visible()
        page.get_by_text("Timeline as a table").click()
        cells = [row.locator("td").all_text_contents() for row in page.locator("#stretches tr").all()]
        assert cells == [
            ["0:01.0", "0:05.0", "Agent", "Talk"],
            ["0:06.0", "0:06.5", "Customer", "Lost audio (ordered: lost)"],
            ["0:08.0", "0:12.0", "Customer", "Talk"],
            ["0:12.0", "0:15.0", "All parties", "Hold: no audio came"],
            ["0:16.0", "0:18.0", "Customer", "Paused or muted by an operator"],
            ["0:18.5", "0:19.0", "Customer", "Left out or filled in (untranscribed)"],
        ]
        assert page.locator("#words p").all_text_contents() == ["How can I help?", HOSTILE]
        expect(page.locator("#words li").last).to_contain_text("uncertain")
        files = page.locator("#files li")
        expect(files).to_have_count(3)
        expect(files.first).to_contain_text("640 KB · 0:20 · Agent and Customer · not complete")
        expect(files.first).to_contain_text("5e" * 32)
        expect(files.last).to_contain_text("not there any more")
        expect(page.locator("#about")).to_contain_text(HOSTILE)
        assert page.locator("main img:not(.tracks), main script").count() == 0
        for width in (1100, 360):
            page.set_viewport_size({"width": width, "height": 700})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(f"{AXE}; axe.run()")["violations"] == []


def test_who_only_reads_sees_no_words(page, control, history):
    tokens = {"admin": SECRET, "read": READ}
    with api(control, SECRET, tokens=tokens, call_log=history) as served:
        sign_in(page, served, "ended", token=READ)
        page.goto(f"{served.url}/dashboard/call#flow-1")
        expect(page.locator("#words-note")).to_have_text("The words need the token of FLOWCORE_ADMIN_TOKEN.")
        expect(page.locator("#words li")).to_have_count(0)


def test_a_call_that_nobody_knows_is_said_to_be_unknown(page, control, history):
    with api(control, SECRET, call_log=history) as served:
        sign_in(page, served)
        page.goto(f"{served.url}/dashboard/call#nobody")
        expect(page.locator("#empty")).to_contain_text("There is no such call")


def test_a_run_without_a_call_log_says_how_to_get_one(page, served):
    sign_in(page, served, "ended")
    expect(page.locator("#empty")).to_contain_text("flowcore run --call-log FILE")
