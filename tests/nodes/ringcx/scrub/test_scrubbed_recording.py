"""A scrubbed recording holds nothing that was planted in it, and is the same call for the listener."""

from __future__ import annotations

import base64
import json
import random
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_recording import VERSION, Closed, Message, Opened, encode, read
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.dialog_sender import METHOD, DialogSender
from nodes.ringcx.scrub.pseudonyms import Pseudonyms, form
from nodes.ringcx.scrub.recording import scrub
from nodes.ringcx.scrub.websocket import WebSocketScrubber, outcome
from nodes.simulators.known_audio import mulaw
from tests.support.captured_calls import played

pytestmark = pytest.mark.slow

MARKER = "Zebra7Quartz"
NUMBER = "14155559876"
WORD = "Quetzalcoatl"
PLANTED = (MARKER, NUMBER, WORD)

marks = st.sampled_from(PLANTED) | st.sampled_from(
    [
        f"call {WORD} at +{NUMBER}",
        f"sip:{NUMBER}@{WORD}.example",
        base64.b64encode(MARKER.encode()).decode(),
        f"ü{WORD}é",
    ]
)
NAMES = (
    "callId ani dnis agentId note x metadata event perspective media protocol version contentType sampleRateHertz "
    "productType duration endTime sequenceId"
)
keys = st.sampled_from([*NAMES.split(), MARKER, f"{WORD} {NUMBER}"])
leaves = marks | st.none() | st.booleans() | st.just(int(NUMBER)) | st.floats(0, 1e3) | st.just("")
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))
objects = st.dictionaries(keys, values, max_size=6)
starts = st.builds(lambda fields: {"event": "Start", "metadata": fields}, objects)
medias = st.builds(
    lambda party, seq, more: {"event": "Media", "perspective": party, "sequenceId": seq, **more, "media": AUDIO},
    st.sampled_from(["Participant", "Conference", WORD]), st.integers(0, 99), objects
)  # fmt: skip
AUDIO = base64.b64encode(MARKER.encode() * 20).decode()


def written(message: object, style: int) -> bytes:
    text = json.dumps(message, ensure_ascii=bool(style & 1), separators=(",", ":") if style & 2 else None)
    if style & 4:  # every letter as an escape
        text = re.sub(WORD, lambda found: "".join(f"\\u{ord(letter):04x}" for letter in found[0]), text)
    return text.encode()


whole = st.builds(written, objects | starts | medias | values, st.integers(0, 7))
broken = st.builds(
    lambda data, at, more: data[:at] + more + data[at:],
    whole,
    st.integers(0, 60),
    st.sampled_from(
        [b"", b",", b"}", b'"', b"\xff", b"\0", b"\x02", b"NaN", b"\xef\xbb\xbf", b" 1e999 ", WORD.encode()]
    ),
)
cut = st.builds(lambda data, at: data[:at], whole, st.integers(0, 80))
plain = st.builds(lambda one, other: f"{one} {other}".encode(), marks, marks)
websocket_messages = whole | broken | cut | plain

attributes = st.dictionaries(marks | st.sampled_from(["uii", "agentId"]), marks, max_size=3)


def dialog(found: dict[str, str]) -> bytes:
    event = pb.StreamEvent(session_id=MARKER)
    event.dialog_init.dialog.id = f"s-v-{NUMBER}"
    event.dialog_init.dialog.ani = f"+{NUMBER}"
    event.dialog_init.dialog.language = WORD
    event.dialog_init.dialog.attributes.update(found)
    event.dialog_init.account.id = NUMBER
    return event.SerializeToString()


def segment(codec: int, audio: bytes) -> list[bytes]:
    start, media, info = pb.StreamEvent(), pb.StreamEvent(), pb.StreamEvent()
    start.segment_start.segment_id = media.segment_media.segment_id = info.segment_info.segment_id = MARKER
    start.segment_start.participant.id = NUMBER
    start.segment_start.participant.name = f"{WORD} {WORD}"
    start.segment_start.product.id = WORD
    start.segment_start.audio_format.codec = codec  # type: ignore[assignment]
    media.segment_media.audio_content.payload = audio
    info.segment_info.event = WORD
    info.segment_info.data = json.dumps({WORD: NUMBER})
    unknown = b"\xfa\x01" + bytes([len(MARKER)]) + MARKER.encode()
    half = media.SerializeToString()
    return [each.SerializeToString() for each in (media, start, media, info)] + [unknown, half[: len(half) // 2]]


grpc_messages = st.builds(
    lambda found, codec, audio, more: [dialog(found), *segment(codec, audio), more],
    attributes,
    st.integers(0, 5),
    st.builds(lambda times: MARKER.encode() * times, st.integers(0, 40)),
    st.binary(max_size=40) | st.just(WORD.encode()),
)


def recorded(path: Path, messages: list[bytes], transport: str) -> Path:
    query = f"?callId={MARKER}&{WORD}={NUMBER}&ani=%2B{NUMBER}"
    headers = [("User-Agent", WORD), (MARKER, NUMBER), ("te", "trailers")]
    place = METHOD if transport == "grpc" else f"/{WORD}/{query}"
    opened = Opened(VERSION, 100.0, "2026-11-12T13:14:15+01:00", place, headers, transport)  # type: ignore[arg-type]
    lines = []
    for number, data in enumerate(messages):
        try:
            lines.append(Message(100.0 + number, "" if transport == "grpc" else data.decode()))
        except UnicodeDecodeError:
            lines.append(Message(100.0 + number, data=data))
        if transport == "grpc":
            lines[-1] = Message(100.0 + number, data=data)
    closed = Closed(200.0, "peer_closed", 1000, f"1008 {WORD}")
    path.write_bytes(b"".join(map(encode, [opened, *lines, closed])))
    return path


def content(message: Message) -> bytes:
    return message.text.encode() if message.data is None else message.data


def holds_nothing(data: bytes) -> None:
    """Nothing planted is in the bytes, in their base64, or in their escapes."""
    text = data.decode(errors="replace")
    unescaped = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    runs = re.findall(rb"[A-Za-z0-9+/]{8,}", data)
    decoded = [base64.b64decode(run[at : len(run) - (len(run) - at) % 4]) for run in runs for at in range(4)]
    for planted in PLANTED:
        assert planted.lower() not in text.lower()
        assert planted.lower() not in unescaped.lower()
        assert all(planted.encode() not in each for each in decoded)


relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


@relaxed
@given(st.lists(websocket_messages, max_size=6))
def test_nothing_planted_survives_in_a_call_over_websocket_and_each_message_means_the_same(tmp_path, messages):
    path = recorded(tmp_path / "call", messages, "websocket")
    records = list(scrub(path))
    for record in records:
        holds_nothing(encode(record))
    kept = [content(record) for record in records if isinstance(record, Message)]
    assert list(map(outcome, kept)) == list(map(outcome, messages))


@relaxed
@given(st.lists(websocket_messages, max_size=6))
def test_scrubbing_twice_over_websocket_changes_nothing(tmp_path, messages):
    once = list(scrub(recorded(tmp_path / "call", messages, "websocket")))
    (tmp_path / "once").write_bytes(b"".join(map(encode, once)))
    assert list(scrub(tmp_path / "once")) == once


@relaxed
@given(grpc_messages)
def test_nothing_planted_survives_in_a_call_over_grpc_and_scrubbing_twice_changes_nothing(tmp_path, messages):
    once = list(scrub(recorded(tmp_path / "call", messages, "grpc")))
    for record in once:
        holds_nothing(encode(record))
        if isinstance(record, Message):
            holds_nothing(content(record))
    (tmp_path / "once").write_bytes(b"".join(map(encode, once)))
    assert list(scrub(tmp_path / "once")) == once


@given(st.lists(st.text(), max_size=5))
def test_fictional_values_keep_their_form_and_length_and_the_same_value_is_the_same(texts):
    pseudonyms = Pseudonyms()
    for text in texts:
        scrubbed = pseudonyms.text(text)
        assert pseudonyms.text(text) == scrubbed
        assert len(scrubbed) == len(text)
        assert len(scrubbed.encode(errors="surrogateescape")) == len(text.encode(errors="surrogatepass"))
        runs = [re.findall("[0-9A-Za-z]+", each) for each in (text, scrubbed)]
        assert list(map(form, runs[0])) == list(map(form, runs[1]))


def test_different_numbers_stay_different_and_the_same_one_is_the_same_in_all_messages():
    scrubber = WebSocketScrubber(Pseudonyms())
    given = {"callId": "a1", "ani": "+14155550101", "dnis": "+14155550102", "note": "of 14155550101"}
    fields = json.loads(scrubber.message(json.dumps({"event": "Start", "metadata": given}).encode()))["metadata"]
    assert fields["ani"] != fields["dnis"]
    assert list(fields.values())[3] == "xx " + fields["ani"].removeprefix("+")
    assert re.fullmatch(r"\+1\d{10}", fields["ani"])


def test_kept_are_lengths_numbers_and_spelling():
    media = CallSender({"call_id": "c"}).media("agent", b"\x80" * 160)
    scrubbed = WebSocketScrubber(Pseudonyms()).message(media)
    before, after = json.loads(media), json.loads(scrubbed)
    assert len(scrubbed) == len(media)
    assert before.pop("media") != after.pop("media")
    assert before == after


def troubled(seconds: float, seed: int) -> list[tuple[float, bytes]]:
    """A call with losses, repeats, swaps, a hold, silence and messages that are none, each at its time."""
    chance = random.Random(seed)
    caller = CallSender({"call_id": "troubled", "ani": f"+{NUMBER}"})
    sent: list[tuple[float, bytes]] = [(0.0, caller.connected()), (0.0, caller.start())]
    parts = {track: mulaw(seed, track, seconds) for track in ("agent", "customer")}
    for at in range(0, len(parts["agent"]), 160):
        hold = 5.0 if at > len(parts["agent"]) / 2 else 0.0
        for track, data in parts.items():
            payload = b"\xff" * 160 if chance.random() < 0.2 else data[at : at + 160]
            message = caller.media(track, payload)
            sent += [(at / 8000 + hold, message)] * chance.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2])
    for _ in range(20):
        at = chance.randrange(2, len(sent) - 4)
        (one, first), (other, second) = sent[at], sent[at + 3]
        sent[at], sent[at + 3] = (one, second), (other, first)
    sent[30:30] = [(sent[30][0], odd) for odd in (b"no JSON", b'{"event":"Weather"}', b'{"event":"Media"}')]
    return sent


def troubled_dialog(seconds: float, seed: int) -> list[tuple[float, bytes]]:
    chance = random.Random(seed)
    sender = DialogSender({"call_id": "troubled"})
    parts = {track: mulaw(seed, track, seconds) for track in ("agent", "customer")}
    sent = [(0.0, sender.dialog_init()), *((0.0, sender.segment_start(track)) for track in parts)]
    for at in range(0, len(parts["agent"]), 800):
        for track, data in parts.items():
            payload = b"\xff" * 800 if chance.random() < 0.2 else data[at : at + 800]
            sent += [(at / 8000, sender.media(track, payload))] * chance.choice([0, 1, 1, 1, 1, 2])
    sent[9:9] = [(sent[9][0], odd) for odd in (b"\xff\xff", b"", sender.info("agent", "hold"), sender.dialog_init())]
    return sent


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("transport", ["websocket", "grpc"])
def test_a_scrubbed_call_plays_with_the_same_losses_gaps_and_events_at_the_same_times(tmp_path, transport, seed):
    make, place = (troubled_dialog, METHOD) if transport == "grpc" else (troubled, "/")
    lines = [encode(Opened(VERSION, 100.0, "2026-01-02T03:04:05+00:00", place, [], transport))]
    lines += [encode(Message(100.0 + at, data=data)) for at, data in make(6.0, seed)]
    (tmp_path / "call").write_bytes(b"".join([*lines, encode(Closed(120.0, "peer_closed"))]))
    (tmp_path / "scrubbed").write_bytes(b"".join(map(encode, scrub(tmp_path / "call"))))
    outcomes = []
    for name in ("call", "scrubbed"):
        result, wav = played(tmp_path / name, tmp_path / f"{name}.wav")
        (flow,) = result.flows
        counted = {node: (stats.dropped.json(), stats.filled.json()) for node, stats in flow.stats.items()}
        events = [
            (
                event.name,
                event.node,
                {key: value for key, value in event.data.items() if isinstance(value, float | int)},
            )
            for event in result.events
        ]
        about = json.loads(wav.with_name(f"{wav.name}.json").read_text())
        outcomes.append((flow.reason, counted, events, about["gaps"], about["lost"], wav.stat().st_size))
    assert outcomes[0] == outcomes[1]
    assert (tmp_path / "call.wav").exists()


def test_a_recording_of_the_doctor_is_scrubbed_too(tmp_path):
    sender = DialogSender({"call_id": NUMBER})
    from nodes.doctor.redact_grpc import redact_event
    from nodes.ringcx.redact import Redactor

    texts = [
        redact_event(data, Redactor(None)) for data in (sender.dialog_init(), sender.media("agent", bytes(80)), b"\xff")
    ]
    lines = [encode(Opened(2, 1.0, "2026-01-02T03:04:05+00:00", METHOD, [], "grpc"))]
    (tmp_path / "call").write_bytes(b"".join([*lines, *(encode(Message(1.0, text)) for text in texts)]))
    opened, *messages = scrub(tmp_path / "call")
    assert msgspec.json.decode(encode(opened))["recorded"].startswith("2026-01-01")
    assert all(isinstance(each, Message) and each.data is None for each in messages)
    assert NUMBER not in "".join(each.text for each in messages if isinstance(each, Message))
    assert list(read(map(encode, [opened, *messages])))
