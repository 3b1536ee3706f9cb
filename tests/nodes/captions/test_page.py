"""The captions page in a real Chromium, with real calls."""

from __future__ import annotations

import re
import time

import msgspec
import pytest
import trustme
from playwright.sync_api import expect

from flowcore import Text
from flowcore.control.call_control import answer as control_call
from flowcore.tcp_proxy import Proxy
from nodes.captions.access import mint
from tests.support.live import PATIENCE, until
from tests.support.ports import free_port
from tests.support.toxics import limit_data
from tests.support.transports import dial, hang_up
from tests.support.watching import Talk, address, browser, desktop, stage

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)  # its own 5 s are few for a browser on a busy machine

HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>&amp;'
DESK = "frame_ancestors: ['http://localhost:*']"
CONTRAST = """item => {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    const part = [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  let behind = item;
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  const [a, b] = [light(getComputedStyle(item).color), light(getComputedStyle(behind).backgroundColor)].sort();
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
"""Of a text and what is behind it, as WCAG 2.2 defines it; 4.5 is its least for reading (AA)."""


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium):
    """A page that fails the test at whatever goes wrong in it."""
    context = chromium.new_context(viewport={"width": 420, "height": 560})
    opened = context.new_page()
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield opened
    context.close()
    assert wrong == []


def state(page, wanted):
    expect(page.locator("#state")).to_have_attribute("data-state", wanted)


def words(page):
    return page.locator("li p").all_inner_texts()


def test_in_an_iframe_of_another_origin_an_interim_text_is_replaced_in_place_by_its_final(page, tmp_path):
    with stage(tmp_path, DESK) as live, desktop(address(live, "?callId=One-7")) as desk:
        page.goto(desk)
        frame = page.frame_locator("#f")
        expect(frame.locator("#state")).to_have_text("Waiting for the call")
        talk = Talk(live.url, " one-7")
        expect(frame.locator("#state")).to_have_text("Live")
        talk.words("agent", 1.0, "how can", final=False)
        first = frame.locator("li").first
        expect(first).to_have_class(re.compile("interim"))
        first.evaluate("item => { item.marked = true }")
        talk.words("agent", 1.0, "How can I help?")
        talk.words("customer", 64.2, "My line is dead.")
        expect(frame.locator("li")).to_have_count(2)
        expect(first).not_to_have_class(re.compile("interim"))
        assert first.evaluate("item => item.marked")
        assert frame.locator("li").all_inner_texts() == [
            "0:01\nAgent\n\nHow can I help?",
            "1:04\nCustomer\n\nMy line is dead.",
        ]
        talk.words("customer", 66.0, "noise", final=False)
        expect(frame.locator("li")).to_have_count(3)
        talk.words("customer", 66.0, "")
        expect(frame.locator("li")).to_have_count(2)


def test_a_foreign_page_cannot_hold_it_in_an_iframe(chromium, tmp_path):
    with stage(tmp_path, "frame_ancestors: ['https://desk.example']") as live, desktop(address(live)) as desk:
        page = chromium.new_page()
        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            page.goto(desk)
        expect(page.frame_locator("#f").locator("#state")).to_have_count(0)
        page.goto(address(live))  # by itself it is there
        expect(page.locator("#state")).to_be_visible()
        page.close()


def test_a_page_for_a_callers_number_shows_his_call_and_says_when_there_are_two(page, tmp_path):
    with stage(tmp_path) as live:
        first = Talk(live.url, "one", ani="+1 (555) 010-0123")
        first.words("customer", 1.0, "hello")
        page.goto(address(live, "?ani=15550100123"))
        expect(page.locator("li p")).to_have_text("hello")
        Talk(live.url, "two", ani="15550100123")
        until(lambda: len(live.engine.flows) == 2)
        page.reload()
        state(page, "ambiguous")
        expect(page.locator("#empty")).to_contain_text("open the page with the id of one")
        expect(page.locator("li")).to_have_count(0)


@pytest.mark.parametrize("query", ["?callId=20261130120001", "?dialogId=s-v-7", "?ani=+15550100123"])
def test_a_page_opened_before_a_call_over_grpc_shows_it_by_any_of_its_ids(page, tmp_path, query):
    with stage(tmp_path) as live:
        page.goto(address(live, query))
        state(page, "waiting")
        phone = dial("grpc", live.url, "20261130120001", dialog_id="s-v-7", ani="15550100123")
        phone.say(phone.sender.media("agent", msgspec.json.encode(Text("agent", 1.0, 2.0, "Hello.", True, 0))))
        state(page, "live")
        expect(page.locator("li p")).to_have_text("Hello.")
        hang_up(phone)
        state(page, "ended")


def test_opened_in_the_middle_it_has_the_history_and_after_the_end_all_of_it(page, chromium, tmp_path):
    with stage(tmp_path) as live:
        talk = Talk(live.url, "two")
        for number in range(150):  # more than one slot's share
            talk.words("agent", number, f"line {number}")
        page.goto(address(live, "?callId=two"))
        expect(page.locator("li")).to_have_count(150)
        talk.words("customer", 151.0, "the last words", final=False)
        expect(page.locator("li.interim")).to_have_count(1)
        talk.stop()  # only then the last words become final
        state(page, "ended")
        assert words(page)[-1] == "the last words"
        assert page.locator("li.interim").count() == 0
        late = [chromium.new_page() for _ in range(3)]
        for one in late:
            one.goto(address(live, "?callId=two"))
            state(one, "ended")
            expect(one.locator("li")).to_have_count(151)
            one.close()


def test_a_transfer_goes_on_on_the_same_page(page, tmp_path):
    with stage(tmp_path) as live:
        page.goto(address(live, "?uii=three"))
        for said in ("first agent", "second agent"):
            talk = Talk(live.url, "three")
            talk.words("agent", 5.0, said)
            state(page, "live")
            expect(page.locator("li p", has_text=said)).to_be_visible()
            talk.hang_up()
            state(page, "ended")
        assert words(page) == ["first agent", "second agent"]
        assert page.locator(".divider").inner_text() == "Call continues at 0:06"
        assert page.locator("time").all_inner_texts() == ["0:05", "0:11"]


def test_what_was_said_is_never_markup(page, tmp_path):
    with stage(tmp_path) as live:
        page.goto(address(live, "?callId=four"))
        talk = Talk(live.url, "four")
        talk.words("agent", 1.0, HOSTILE, final=False)
        expect(page.locator("li.interim p")).to_have_text(HOSTILE)
        talk.words("agent", 1.0, HOSTILE)
        expect(page.locator("li:not(.interim) p")).to_have_text(HOSTILE)
        assert page.locator("main img, main script, #spoken img").count() == 0
        assert page.title() == "Live captions"


def test_even_markup_that_got_in_could_run_nothing(chromium, tmp_path):
    with stage(tmp_path) as live:
        page = chromium.new_page()
        refused = []
        page.on("console", lambda said: refused.append(said.text))
        page.goto(address(live))
        page.evaluate("markup => document.body.insertAdjacentHTML('beforeend', markup)", HOSTILE)
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title=1'}))"
        )
        expect(page.locator("img")).to_have_count(1)
        page.wait_for_function("document.querySelector('img').complete")
        assert page.title() == "Live captions"
        assert sum("Content Security Policy" in text for text in refused) >= 2
        page.close()


def test_a_lost_connection_is_said_and_comes_back_with_nothing_missing_or_twice(page, tmp_path):
    with stage(tmp_path) as live:
        port = int(address(live).split(":")[2].split("/")[0])
        with Proxy(("127.0.0.1", port), down=[limit_data(20_000)]) as proxy:  # of each connection
            page.goto(f"http://127.0.0.1:{proxy.address[1]}/client?callId=five")
            state(page, "waiting")
            page.evaluate(
                """() => {
                  window.states = [];
                  const watch = () => states.push(document.getElementById("state").dataset.state);
                  new MutationObserver(watch).observe(document.getElementById("state"), { attributes: true });
                }"""
            )
            talk = Talk(live.url, "five")
            talk.words("agent", 1.0, "before")
            for number in range(25):
                talk.words("customer", 3.0, f"{number} {'word ' * 200}", final=False)
                expect(page.locator("li.interim p")).to_contain_text(f"{number} word")
            talk.words("customer", 3.0, "after")
            expect(page.locator("li.interim")).to_have_count(0)
            assert words(page) == ["before", "after"]
            assert page.locator("#spoken p").all_inner_texts() == ["Agent: before", "Customer: after"]
            assert page.evaluate("states.join(' ')") == "live reconnecting live"


def test_a_server_that_was_away_is_found_again_and_an_ended_call_stays_ended(page, tmp_path):
    port = free_port()
    with stage(tmp_path, port=port) as live:
        page.goto(address(live, "?callId=six"))
        state(page, "waiting")
    state(page, "reconnecting")
    with stage(tmp_path, port=port) as live:
        state(page, "waiting")
        talk = Talk(live.url, "six")
        talk.words("agent", 3.0, "hello")
        state(page, "live")
        talk.stop()
        state(page, "ended")
    with page.expect_websocket() as feed, stage(tmp_path, port=port):
        feed.value.wait_for_event("framereceived")
        state(page, "ended")  # although this server knows nothing of the call
        assert words(page) == ["hello"]


def test_without_a_good_key_there_is_a_plain_answer_and_no_endless_knocking(chromium, tmp_path, monkeypatch):
    monkeypatch.setenv("VIEWER_KEY", "0123456789abcdef")
    port = free_port()
    page = chromium.new_page()
    with stage(tmp_path, 'access: key, secret: "${VIEWER_KEY}"', port=port) as live:
        for wrong in ("", "&key=", "&key=0123456789abcdeg", "&key=0123456789abcdef0"):
            assert page.goto(address(live, f"?callId=six{wrong}")).status == 403
            assert page.locator("h1").inner_text() == "This link cannot open these captions"
        page.goto(address(live, "?callId=six&key=0123456789abcdef"))
        state(page, "waiting")
    monkeypatch.setenv("VIEWER_KEY", "fedcba9876543210")
    with stage(tmp_path, 'access: key, secret: "${VIEWER_KEY}"', port=port):
        state(page, "denied")
        assert page.locator("#state").inner_text() == "No access"
    page.close()


def test_keyboard_reaches_the_words_scrolls_them_and_comes_back_to_the_end(page, tmp_path):
    with stage(tmp_path) as live:
        page.goto(address(live, "?callId=seven"))
        talk = Talk(live.url, "seven")
        for number in range(60):
            talk.words("agent", number, f"line {number}")
        expect(page.locator("li").last).to_be_in_viewport()
        latest = page.locator("#latest")
        expect(latest).to_be_hidden()
        page.keyboard.press("Tab")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Home")
        expect(page.locator("li").first).to_be_in_viewport()
        expect(latest).to_be_visible()
        talk.words("agent", 61.0, "while reading further up")
        expect(page.locator("li")).to_have_count(61)
        expect(page.locator("li").first).to_be_in_viewport()  # it does not run away from the reader
        page.keyboard.press("Tab")
        expect(latest).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("li").last).to_be_in_viewport()
        expect(latest).to_be_hidden()
        expect(page.locator("main")).to_be_focused()


def test_screen_reader_is_told_who_said_what_once_it_is_final_and_the_state(page, tmp_path):
    with stage(tmp_path) as live:
        talk = Talk(live.url, "eight")
        talk.words("agent", 1.0, "long ago")
        page.goto(address(live, "?callId=eight"))
        expect(page.locator("li")).to_have_count(1)
        page.reload()  # now "long ago" is surely older than the page
        expect(page.locator("li")).to_have_count(1)
        talk.words("customer", 3.0, "one mo", final=False)
        talk.words("customer", 3.0, "One moment.")
        talk.words("customer", 5.0, "", gap="untranscribed")
        log = page.get_by_role("log")
        expect(log.locator("p")).to_have_count(2)
        assert log.get_attribute("aria-live") == "polite"
        assert log.locator("p").all_inner_texts() == ["Customer: One moment.", "Customer: not transcribed"]
        expect(page.get_by_role("status")).to_have_text("Live")
        assert page.locator("main").aria_snapshot() == "\n".join(
            [
                '- main "Captions, latest last":',
                "  - list:",
                "    - listitem:",
                "      - time: 0:01",
                "      - text: Agent",
                "      - paragraph: long ago",
                "    - listitem:",
                "      - time: 0:03",
                "      - text: Customer",
                "      - paragraph: One moment.",
                "    - listitem:",
                "      - time: 0:05",
                "      - text: Customer",
                "      - paragraph: not transcribed",
            ]
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_light_and_dark(chromium, tmp_path, scheme):
    with stage(tmp_path) as live:
        talk = Talk(live.url, "nine")
        for track in ("agent", "customer", "supervisor"):
            talk.words(track if track != "supervisor" else "agent", 1.0, "Hello.")
        talk.words("customer", 3.0, "", gap="untranscribed")
        talk.words("customer", 4.0, "a little bit of", uncertain=True)
        talk.words("agent", 5.0, "still", final=False)
        page = chromium.new_page(color_scheme=scheme, viewport={"width": 320, "height": 200})
        page.goto(address(live, "?callId=nine"))
        expect(page.locator("li")).to_have_count(6)
        page.locator("main").evaluate("main => { main.scrollTop = 0 }")
        expect(page.locator("#latest")).to_be_visible()
        dark = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(20, 23, 27)"
        assert dark == (scheme == "dark")
        for item in page.locator("h1, #call, #state, li p, li time, li .who, li.uncertain .mark, #latest").all():
            assert item.evaluate(CONTRAST) >= 4.5, item.evaluate("item => item.outerHTML")
        page.close()


def test_uncertain_words_differ_for_the_eye_and_for_a_screen_reader(page, tmp_path):
    with stage(tmp_path) as live:
        page.goto(address(live, "?callId=doubt"))
        state(page, "waiting")
        talk = Talk(live.url, "doubt")
        talk.words("agent", 1.0, "How can I help?", confidence=0.97)
        talk.words("customer", 3.0, "a little", final=False)
        talk.words("customer", 3.0, "a little bit of", confidence=0.2, uncertain=True, language="de")
        sure, unsure = page.locator("li").first, page.locator("li.uncertain")
        expect(unsure.locator("p")).to_have_text("a little bit of")
        expect(unsure.locator("p")).to_have_attribute("lang", "de")
        expect(unsure.locator(".mark")).to_be_visible()
        expect(sure.locator(".mark")).to_be_hidden()
        lines = [item.locator("p").evaluate("p => getComputedStyle(p).textDecorationLine") for item in (sure, unsure)]
        assert lines == ["none", "underline"]
        expect(page.locator("#spoken p")).to_have_text(
            ["Agent: How can I help?", "Customer, uncertain: a little bit of"]
        )
        assert unsure.aria_snapshot() == (
            "- listitem:\n  - time: 0:03\n  - text: Customer uncertain\n  - paragraph: a little bit of"
        )


def test_one_certificate_serves_the_page_and_its_feed(chromium, tmp_path, monkeypatch):
    monkeypatch.setenv("VIEWER_KEY", "0123456789abcdef")
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    with stage(
        tmp_path,
        "access: token, secret: '${VIEWER_KEY}'",
        call=f"tls: {{cert: {tmp_path}/both.pem, key: {tmp_path}/both.pem}}",
    ) as live:
        [said] = [event.data["address"] for event in live.events if event.name == "page_opened"]
        assert said == address(live, "?callId={{model.call.uii}}&token=…")
        assert said.startswith("https://")
        token = mint("0123456789abcdef", "twelve", int(time.time()) + 60)
        page = chromium.new_page(ignore_https_errors=True)  # nobody knows this certificate's authority
        with page.expect_websocket() as feed:
            page.goto(address(live, f"?callId=twelve&token={token}"))
        state(page, "waiting")
        assert feed.value.url.startswith("wss://")
        assert page.goto(address(live, f"?callId=thirteen&token={token}")).status == 403
        page.close()


def test_without_a_call_id_the_newest_call_is_shown(page, tmp_path):
    with stage(tmp_path) as live:
        page.goto(address(live))
        state(page, "waiting")
        for name in ("ten", "eleven"):
            Talk(live.url, name).words("agent", 1.0, f"this is {name}")
            expect(page.locator("#call")).to_have_text(name)
            expect(page.locator("li p")).to_have_text([f"this is {name}"])


def operate(live, action, party=""):
    """Do what `flowcore call` does with the call ``one``."""
    request = {"call_id": "one", "flow": "", "do": action, "party": party}
    live.call(lambda: control_call(live.engine, request))


def test_what_an_operator_silences_is_shown_while_it_is_and_as_a_stretch_afterwards(tmp_path, page):
    with stage(tmp_path) as live:
        talk = Talk(live.url, "one")
        talk.words("customer", 1.0, "my card number is")
        talk.words("agent", 2.0, "one moment")
        page.goto(address(live))
        silent, lines = page.locator("#silent"), page.locator("#lines li")
        expect(lines).to_have_count(2)
        expect(silent).to_be_hidden()
        operate(live, "mute", "customer")
        expect(silent).to_have_text("Customer muted")
        operate(live, "pause")
        expect(silent).to_have_text("Paused")
        assert page.evaluate(f"({CONTRAST})(document.getElementById('silent'))") >= 4.5
        talk.words("customer", 3.0, "4711 0815")
        until(lambda: any(flow.silenced() for flow in live.engine.flows.values()))
        operate(live, "resume")
        expect(silent).to_have_text("Customer muted")
        expect(page.locator("li.gap p")).to_have_text("paused")
        operate(live, "unmute", "customer")
        expect(silent).to_be_hidden()
        talk.words("customer", 9.0, "thank you")
        expect(lines).to_have_count(4)
        assert "4711" not in page.content()
        talk.stop()
        talk.hang_up()
        expect(page.locator("#state")).to_have_text("Call ended")
        expect(page.locator("li.gap")).to_have_count(1)
