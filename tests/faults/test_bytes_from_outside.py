"""Rows 1, 2, 7 to 12, 17, 18, 24: whatever a peer or the network does ends one call at most, and keeps its audio."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import threading

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore.bench.trial import send_load
from flowcore.engine.clock import SystemClock
from flowcore.tcp_proxy import Proxy
from flowcore.testing import NodeHarness, joined
from nodes.net.connection import PING_INTERVAL
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.call_state import MAX_BAD_IN_A_ROW, CallState, Ignored
from nodes.transforms.reorder import Reorder
from tests.support.live import Live, until
from tests.support.phone import MESSAGE, Phone, said, stereo
from tests.support.toxics import freeze, reset, slicer
from tools.load import call_id, frame, mulaw

pytestmark = pytest.mark.slow

MIB = 1 << 20


def recording(folder, *settings, **options):
    return Live("record", [f"wav.path={folder}/{{call_id}}.wav", *settings], **options)


def rss():
    return psutil.Process().memory_info().rss


def talking(url, call="bad", seconds=1.0):
    phone = Phone(url, call)
    phone.start()
    phone.talk(7, seconds)
    return phone


def answer(phone):
    """Return all bytes until the other side closes or resets."""
    heard = b""
    try:
        while piece := phone.socket.recv(4096):
            heard += piece
    except ConnectionResetError:
        pass
    return heard


def close_code(heard):
    assert heard[0] == 0x88
    return int.from_bytes(heard[2:4], "big")


@pytest.mark.fault(1)
def test_a_message_of_1_gib_is_refused_by_its_header_and_the_audio_so_far_is_kept(tmp_path):
    with recording(tmp_path, calls=1) as live:
        phone = talking(live.url)
        before = rss()
        phone.socket.sendall(b"\x81\xff" + (1 << 30).to_bytes(8, "big") + bytes(4) + bytes(1024))
        assert close_code(answer(phone)) == 1009
        assert rss() - before < 5 * MIB
    assert np.array_equal(stereo(tmp_path / "bad.wav"), said(7, 1.0))
    assert live.engine.totals.reasons == {"peer_broke_protocol": 1}


@pytest.mark.fault(2)
def test_a_million_empty_fragments_cost_one_call_and_no_memory(tmp_path):
    fragments = (b"\x00\x80" + bytes(4)) * 1000
    with recording(tmp_path, calls=1) as live:
        phone = talking(live.url)
        heard = []
        listening = threading.Thread(target=lambda: heard.append(answer(phone)))
        listening.start()
        before = rss()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # before the last of them was sent
            phone.socket.sendall(b"\x01\x80" + bytes(4))
            for _ in range(1000):
                phone.socket.sendall(fragments)
        listening.join(30)
        assert close_code(heard[0]) == 1009
        assert rss() - before < 5 * MIB
    assert np.array_equal(stereo(tmp_path / "bad.wav"), said(7, 1.0))
    assert live.engine.totals.reasons == {"peer_broke_protocol": 1}


MASK = bytes(4)
GARBAGE = {
    **{f"reserved bit {bit:#x}": (bytes([0x81 | bit, 0x80]) + MASK, 1002) for bit in (0x40, 0x20, 0x10, 0x70)},
    **{f"opcode {code}": (bytes([0x80 | code, 0x80]) + MASK, 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "unmasked text": (b"\x81\x02{}", 1002),
    "unmasked ping": (b"\x89\x00", 1002),
    "fragmented ping": (b"\x09\x80" + MASK, 1002),
    "fragmented close": (b"\x08\x80" + MASK, 1002),
    "ping of 126 bytes": (b"\x89\xfe\x00\x7e" + MASK + bytes(126), 1002),
    "close of 126 bytes": (b"\x88\xfe\x00\x7e" + MASK + bytes(126), 1002),
    "close of one byte": (b"\x88\x81" + MASK + b"x", 1002),
    **{
        f"close code {code}": (b"\x88\x82" + MASK + struct.pack(">H", code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)
    },
    "close reason that is no UTF-8": (b"\x88\x84" + MASK + struct.pack(">H", 1000) + b"\xff\xfe", 1007),
    "continuation of nothing": (b"\x80\x80" + MASK, 1002),
    "text within a fragmented text": (b"\x01\x80" + MASK + b"\x81\x80" + MASK, 1002),
    "length above 2**63": (b"\x81\xff" + b"\xff" * 8 + MASK, 1002),
    "message of 65,537 bytes": (b"\x81\xff" + (65_537).to_bytes(8, "big") + MASK + bytes(65_537), 1009),
}


@pytest.mark.fault(7)
@pytest.mark.slow
def test_every_illegal_frame_ends_its_own_call_only(tmp_path):
    with recording(tmp_path, calls=len(GARBAGE) + 1) as live:
        good = Phone(live.url, "good")
        good.start()
        codes = {}
        for number, (name, (data, _)) in enumerate(GARBAGE.items()):
            bad = talking(live.url, f"bad{number}", 0.1)
            bad.socket.sendall(data)
            codes[name] = close_code(answer(bad))
        good.talk(2, 1.0)
        good.stop()
        good.hang_up()
    # websockets answers a length of 2**63 and more with 1009, as it is above the limit as well.
    assert codes == {name: code for name, (_, code) in GARBAGE.items()} | {"length above 2**63": 1009}
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(2, 1.0))
    for number in range(len(GARBAGE)):
        assert np.array_equal(stereo(tmp_path / f"bad{number}.wav"), said(7, 0.1))
    assert live.engine.totals.reasons == {"stop": 1, "peer_broke_protocol": len(GARBAGE)}


def wire(call, seconds):
    """The bytes of one call behind the handshake, and where each of its media messages ends in them."""
    caller = CallSender({"call_id": "x", "session_id": "1"})
    data = frame(caller.connected()) + frame(caller.start())
    ends = []
    parts = {track: mulaw(call, track, seconds) for track in ("agent", "customer")}
    for at in range(0, len(parts["agent"]), MESSAGE):
        for track, part in parts.items():
            data += frame(caller.media(track, part[at : at + MESSAGE]))
            ends.append(len(data))
    return data, ends


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def dial(address):
    line = socket.create_connection(address, timeout=30)
    line.sendall(HANDSHAKE)
    heard = b""
    while not heard.endswith(b"\r\n\r\n"):
        heard += line.recv(1)
    assert b" 101 " in heard
    return line


def address(live):
    host, port = live.url.removeprefix("ws://").rstrip("/").split(":")
    return host, int(port)


@pytest.mark.fault(9)
@pytest.mark.slow
def test_reset_at_50_random_bytes_keeps_every_whole_message(tmp_path):
    data, ends = wire(7, 0.2)
    picks = random.Random(9)
    begin = ends[0] - len(frame(CallSender({}).media("agent", bytes(MESSAGE))))
    cuts = [picks.randrange(begin, len(data)) for _ in range(50)]
    with Live("record", [f"wav.path={tmp_path}/{{flow}}.wav"], calls=len(cuts)) as live:
        for cut in cuts:
            with Proxy(address(live), up=[reset(len(HANDSHAKE) + cut)]) as proxy:
                line = dial(proxy.address)
                try:
                    line.sendall(data)
                    while line.recv(4096):
                        pass
                except OSError:
                    pass
                line.close()
    opened = [event.flow for event in live.named("flow_opened")]
    assert live.engine.totals.reasons == {"peer_lost": 50}
    whole = said(7, 0.2)
    for flow, cut in zip(opened, cuts, strict=True):
        messages = sum(end <= cut for end in ends)
        agent, customer = (messages + 1) // 2 * MESSAGE, messages // 2 * MESSAGE
        if not messages:
            assert (tmp_path / f"{flow}.wav").stat().st_size == 44  # a header, and no sound
            continue
        heard = stereo(tmp_path / f"{flow}.wav")
        assert np.array_equal(heard[:agent, 0], whole[:agent, 0])
        assert np.array_equal(heard[:customer, 1], whole[:customer, 1])
        assert len(heard) == agent


@pytest.mark.fault(10)
@settings(max_examples=12, deadline=None)
@given(st.integers(1, 400), st.none() | st.integers(0, 99))
def test_any_slicing_gives_a_byte_identical_recording(tmp_path_factory, size, seed):
    folder = tmp_path_factory.mktemp("sliced")
    with (
        recording(folder, calls=1) as live,
        Proxy(address(live), up=[slicer(size, seed)]) as proxy,
    ):
        phone = Phone(f"ws://127.0.0.1:{proxy.address[1]}/")
        phone.start()
        phone.talk(7, 0.3)
        phone.stop()
        phone.hang_up()
    assert np.array_equal(stereo(folder / "one.wav"), said(7, 0.3))


@pytest.mark.fault(11)
def test_beyond_max_calls_exactly_the_rest_gets_503_before_the_upgrade(tmp_path):
    with recording(tmp_path, calls=20, max_calls=20) as live:
        phones = [talking(live.url, f"call{number}", 0.1) for number in range(20)]
        until(lambda: len(live.engine.flows) == 20)
        refused = 0
        for _ in range(50):
            with socket.create_connection(address(live), timeout=30) as line:
                line.sendall(HANDSHAKE)
                heard = b""
                while piece := line.recv(4096):
                    heard += piece
                refused += heard.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in heard
        for phone in phones:
            phone.stop()
            phone.hang_up()
    assert refused == 50
    assert live.engine.totals.refused == 50
    for number in range(20):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), said(7, 0.1))


@pytest.mark.fault(12)
@pytest.mark.slow
def test_a_flooding_call_costs_twenty_good_ones_nothing(tmp_path):
    with recording(tmp_path, calls=21) as live:
        flood = Phone(live.url, "flood")
        flood.start()
        over = threading.Event()

        def pour():
            flood.socket.settimeout(0.1)
            left = b""
            while not over.is_set():
                left = left or b"".join(frame(flood.sender.media("agent", bytes(MESSAGE))) for _ in range(100))
                try:
                    left = left[flood.socket.send(left) :]
                except TimeoutError:
                    continue

        thread = threading.Thread(target=pour)
        thread.start()
        until(lambda: sum(path.stat().st_size for path in tmp_path.iterdir()) > 64_000)  # it is in full flood
        before = rss()
        # In a process of its own, with its own memory.
        load = send_load("nodes.simulators.ringcx", live.url, 20, 5.0, None, ["--together"])
        grown = rss() - before
        over.set()
        thread.join(30)
        flood.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        flood.socket.close()  # and what is on the way is gone
    assert (load["refused"], load["closed"], load["unclosed"]) == (0, 0, 0)
    (closed,) = (event for event in live.named("flow_closed") if event.data["reason"] == "peer_lost")
    # Nor is a pause heard, unless the machine made one: it may keep the callers from calling.
    assert not [event for event in live.named("hold_ended") if event.flow != closed.flow] or not load["in_time"]
    for call in range(20):
        assert np.array_equal(stereo(tmp_path / f"{call_id(call)}.wav"), said(call, 5.0))
    assert grown < 5 * MIB
    assert live.engine.totals.nodes["wav"].dropped == {}
    flooded = live.engine.totals.nodes["call"].left.seconds - 2 * 20 * 5.0
    # 4x real time of two parties' messages, from one party; 2 s of it may be saved up, 128 KiB are in the kernel.
    assert 4 * closed.data["seconds"] < flooded < 4 * 2 * 1.1 * (closed.data["seconds"] + 2 + 1)


@pytest.mark.fault(17)
@pytest.mark.slow
def test_two_clients_of_one_call_id_race_and_no_byte_is_mixed(tmp_path):
    races = 100
    with recording(tmp_path, calls=2 * races) as live:

        def race(number):
            for at in range(races):
                phone = Phone(live.url, f"same{at}")
                phone.start()
                phone.talk(number, 0.1)
                phone.stop()
                phone.hang_up()

        clients = [threading.Thread(target=race, args=(number,)) for number in (0, 1)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(100)
    for at in range(races):
        heard = sorted(stereo(tmp_path / f"same{at}{suffix}.wav").tobytes() for suffix in ("", "-2"))
        assert heard == sorted(said(number, 0.1).tobytes() for number in (0, 1))
    assert len(list(tmp_path.glob("*.wav"))) == 2 * races


HOSTILE = [
    "", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "-rf", ".hidden", "CON", "NUL.wav", "~", "$HOME",
    "a\0b", "\n", 'x\n{"level":"info"}', "\x1b[2J", "\u202egnp.exe", "x" * 300, "é" * 200, "😀", "{flow}", "%s", "*",
    "?", "a b", "a;b", "|ls", "`id`", "$(id)", "<script>", "'", '"', ":", "a:b", "\ufeff", "\u0000\u0001", "\t",
    "..%2f", "....//",
]  # fmt: skip


@pytest.mark.fault(18)
def test_no_call_id_names_a_file_outside_the_folder(tmp_path):
    folder = tmp_path / "inside"
    with recording(folder, calls=len(HOSTILE)) as live:
        phones = [Phone(live.url, hostile) for hostile in HOSTILE]
        for phone in phones:
            phone.start()
            phone.talk(7, 0.02)
            phone.stop()
        for phone in phones:
            phone.hang_up()
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    files = [path for path in folder.rglob("*") if path.suffix != ".json"]
    assert len(files) == len(HOSTILE)
    assert {json.loads(path.read_text())["session"]["call_id"] for path in folder.rglob("*.json")} == {
        hostile[:256] for hostile in HOSTILE
    }
    for path in files:
        assert path.parent == folder
        assert path.name.isascii()
        assert path.name[0].isalnum()
        assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert len(stereo(path)) == 160


class Skipping(SystemClock):
    """The machine's clock, of which a test skips what it does not want to wait for."""

    skipped = 0.0

    def now(self):
        return super().now() + self.skipped

    async def sleep_until(self, when):
        await asyncio.sleep(max(0.0, when - self.now()))


def all_came(live, packets=100):
    until(lambda: [flow.stats()["call"].left.chunks for flow in tuple(live.engine.flows.values())] == [packets])


@pytest.mark.fault(8)
def test_a_peer_that_vanishes_behind_a_live_proxy_is_lost_within_40_s_and_its_recording_whole(tmp_path):
    data, _ = wire(7, 1.0)
    pong, ping = frame(b"", opcode=10), frame(b"", opcode=9)
    sent = HANDSHAKE + data + pong + ping
    clock = Skipping()
    with (
        Live("record", [f"wav.path={tmp_path}/x.wav"], calls=1, clock=clock) as live,
        Proxy(address(live), up=[freeze(len(sent))]) as proxy,
    ):
        line = dial(proxy.address)
        line.sendall(data)
        all_came(live)  # what came after the leap would be behind a pause
        clock.skipped += PING_INTERVAL
        assert line.recv(2) == b"\x89\x00"  # a ping
        line.sendall(pong + ping)
        assert line.recv(2) == b"\x8a\x00"  # so our own answer was read before
        line.sendall(data)  # the proxy takes the ping, and all that follows
        waited = 0
        while waited < 40 and not live.named("flow_closed"):
            clock.skipped += 1.0
            waited += 1
            slot = live.engine.slots.count
            until(lambda slot=slot: live.engine.slots.count > slot + 1 or live.named("flow_closed"))
        assert waited > PING_INTERVAL
        until(lambda: live.named("flow_closed"))
        line.close()
    assert live.named("flow_closed")[0].data["reason"] == "peer_lost"
    assert np.array_equal(stereo(tmp_path / "x.wav"), said(7, 1.0))


@pytest.mark.fault(8)
def test_one_that_never_answers_pings_is_given_up_after_idle_and_its_recording_whole(tmp_path):
    data, _ = wire(7, 1.0)
    clock = Skipping()
    with (
        Live("record", [f"wav.path={tmp_path}/x.wav", "call.idle=1min"], calls=1, clock=clock) as live,
        Proxy(address(live), up=[freeze(len(HANDSHAKE) + len(data))]) as proxy,
    ):
        line = dial(proxy.address)
        line.sendall(data)
        line.close()  # which the receiver never hears
        all_came(live)
        clock.skipped += 60
        until(lambda: live.named("flow_closed"))
    assert np.array_equal(stereo(tmp_path / "x.wav"), said(7, 1.0))
    assert live.engine.totals.reasons == {"idle": 1}


DAMAGED = [
    b'{"event":"Media","perspective":"Participant","sequenceId":"%s","media":"%s"}' % (number, media)
    for number, media in ((b"7", b"AA\\u0000A!=A="), (b"7", b"AAA"), (b"7", b""), (b"-1", b"//8="), (b"", b"//8="))
] + [b"garbage", b"{}", b"\xff\xfe", b'{"event":"Media"}']


@pytest.mark.fault(22)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 49), st.sampled_from(DAMAGED)), max_size=60))
def test_garbage_at_any_place_is_counted_and_the_timeline_is_right(places):
    caller, call, harness = CallSender({"call_id": "x", "session_id": "1"}), CallState(), NodeHarness(Reorder)
    call.receive(caller.start(), 0.0)
    parts = {track: mulaw(7, track, 0.5) for track in ("agent", "customer")}
    for place in range(50):
        track, at = ("agent", "customer")[place % 2], place // 2 * MESSAGE
        for damaged in [damaged for at_place, damaged in places if at_place == place][: MAX_BAD_IN_A_ROW - 1]:
            said = call.receive(damaged, at / 8000)
            assert isinstance(said, Ignored)  # which is what the listener counts
            assert said.reason == "empty_media" or said.reason.startswith("bad_message:")
        harness.push(call.receive(caller.media(track, parts[track][at : at + MESSAGE]), at / 8000))
    heard = harness.end().out
    assert {track: joined(heard, track).tobytes() for track in parts} == parts
