"""Rows 1, 5, 9 to 12, 17, 18, 34, 79 over the other transport.

Others stand with the listener's own tests: tests/nodes/sources/test_ringcx_grpc.py.
"""

from __future__ import annotations

import json
import random
import socket
import threading

import grpc
import numpy as np
import psutil
import pytest

from flowcore.tcp_proxy import Proxy
from nodes.net.grpc_framing import MAX_MESSAGE
from tests.support.live import Live, until
from tests.support.phone import said, stereo
from tests.support.phone_grpc import CHUNK, TRACKS, GrpcPhone, over_grpc
from tests.support.toxics import reset, slicer
from tools.load import mulaw

pytestmark = pytest.mark.slow

MIB = 1 << 20
HOSTILE = [
    "",
    "..",
    "../../etc/passwd",
    "a\\b",
    "-rf",
    "CON",
    "\n",
    "\u202egnp.exe",
    "x" * 300,
    "😀",
    "{flow}",
    "$(id)",
]


def recording(folder, *settings, **options):
    # These calls keep no time, and what a busy machine is late with is no pause in them.
    settings = [f"wav.path={folder}/calls/{{call_id}}.wav", "ordered.hold=collapse", *settings]
    return Live(over_grpc(folder, "record"), settings, **options)


def address(live):
    host, port = live.url.partition("://")[2].split(":")
    return host, int(port)


def sent(live):
    """Packets that each flow got so far."""
    return [flow.stats()["call"].left.chunks for flow in tuple(live.engine.flows.values())]


def through(proxy, call="one"):
    return GrpcPhone("", call, target=":".join(map(str, proxy.address)))


def whole_call(phone, number=7, seconds=0.3):
    phone.start()
    phone.talk(number, seconds)
    return phone.hang_up()


@pytest.mark.fault(5)
def test_slow_handshakes_are_all_gone_at_their_limit_and_a_good_call_goes_on(tmp_path):
    with recording(tmp_path, "call.handshake=5s", calls=1) as live:  # less, a busy machine may need for the good call
        silent = [socket.create_connection(address(live), timeout=30) for _ in range(50)]
        assert whole_call(GrpcPhone(live.url)) == "OK"
        for one in silent:
            while one.recv(4096):  # the settings frame comes first, then the end
                pass
            one.close()
    assert np.array_equal(stereo(tmp_path / "calls" / "one.wav"), said(7, 0.3))


@pytest.mark.fault(5)
def test_connections_that_ask_for_no_stream_make_room_after_the_time_for_a_start(tmp_path):
    with (
        recording(tmp_path, "call.start=5s", calls=1) as live,  # less, a busy machine may need for the good call
        grpc.insecure_channel(live.url.removeprefix("grpc://")) as idle,
    ):
        left = threading.Event()
        grpc.channel_ready_future(idle).result(30)
        idle.subscribe(lambda state: left.set() if state is grpc.ChannelConnectivity.IDLE else None)
        assert left.wait(30)
        assert whole_call(GrpcPhone(live.url)) == "OK"


@pytest.mark.fault(1, 79)
def test_attributes_longer_than_a_message_may_be_are_refused_with_a_line_that_says_so(tmp_path):
    with recording(tmp_path, calls=1) as live:
        good = GrpcPhone(live.url, "good")
        good.start()
        long = GrpcPhone(live.url, "long", note="x" * MAX_MESSAGE)
        long.start()
        assert long.answer() == "RESOURCE_EXHAUSTED"
        good.talk(7, 0.3)
        assert good.hang_up() == "OK"
    (event,) = live.named("protocol_violated")
    assert event.data["detail"] == f"a message is longer than {MAX_MESSAGE} bytes"
    assert not live.named("start_missing")
    assert [path.stem for path in (tmp_path / "calls").glob("*.wav")] == ["good"]
    assert np.array_equal(stereo(tmp_path / "calls" / "good.wav"), said(7, 0.3))


@pytest.mark.fault(9)
def test_a_reset_at_random_bytes_keeps_all_that_was_read(tmp_path):
    """At the pace of a call all that came is read."""
    picks = random.Random(9)
    came = []
    with recording(tmp_path, calls=20) as live:
        for number in range(20):
            with Proxy(address(live), up=[reset(picks.randrange(4000, 12_000))]) as proxy:
                phone = through(proxy, f"cut{number}")
                phone.start()
                read = 0
                for at in range(0, 8000, CHUNK):
                    phone.say(*(phone.sender.media(track, mulaw(7, track, 1.0)[at : at + CHUNK]) for track in TRACKS))
                    until(lambda wanted=read + 2, call=phone.call: call.done() or sent(live) == [wanted])
                    if phone.call.done():
                        break
                    read += 2
                assert phone.answer() == "UNAVAILABLE"
                came.append(read)
            until(lambda n=number: len(live.named("flow_closed")) > n)
    assert live.engine.totals.reasons == {"peer_lost": 20}
    assert sum(came) > 20
    for number, read in enumerate(came):
        heard = stereo(tmp_path / "calls" / f"cut{number}.wav")
        assert np.array_equal(heard[: read // 2 * CHUNK], said(7, 1.0)[: read // 2 * CHUNK])


@pytest.mark.fault(10)
@pytest.mark.parametrize(("size", "seed"), [(1, 1), (7, 2), (1000, 3)])
def test_any_slicing_gives_a_byte_identical_recording(tmp_path, size, seed):
    with recording(tmp_path, calls=1) as live, Proxy(address(live), up=[slicer(size, seed)]) as proxy:
        assert whole_call(through(proxy)) == "OK"
    assert np.array_equal(stereo(tmp_path / "calls" / "one.wav"), said(7, 0.3))


@pytest.mark.fault(11)
def test_beyond_max_calls_exactly_the_rest_is_told_to_try_again(tmp_path):
    with recording(tmp_path, max_calls=5, calls=5) as live:
        phones = [GrpcPhone(live.url, f"call{n}") for n in range(5)]
        for n, phone in enumerate(phones):
            phone.start()
            phone.talk(n, 0.1)
        until(lambda: len(live.engine.flows) == 5)
        assert [whole_call(GrpcPhone(live.url, "more")) for _ in range(10)] == ["UNAVAILABLE"] * 10
        assert {phone.hang_up() for phone in phones} == {"OK"}
    assert sorted(path.stem for path in (tmp_path / "calls").glob("*.wav")) == [f"call{n}" for n in range(5)]


@pytest.mark.fault(12)
@pytest.mark.slow
def test_a_flooding_call_costs_good_ones_nothing_and_no_memory(tmp_path):
    with recording(tmp_path, "call.max_speed=20", calls=5) as live:
        flood = GrpcPhone(live.url, "flood")
        flood.start()
        good = [GrpcPhone(live.url, f"good{n}") for n in range(4)]
        for phone in good:
            phone.start()
        flood.talk(7, 60.0)  # all of it at once: it is read in 1 s
        before = psutil.Process().memory_info().rss
        for n, phone in enumerate(good):
            phone.talk(n, 2.0)
            assert phone.hang_up() == "OK"
        assert psutil.Process().memory_info().rss - before < 5 * MIB
        assert flood.hang_up() == "OK"
    for n in range(4):
        assert np.array_equal(stereo(tmp_path / "calls" / f"good{n}.wav"), said(n, 2.0))
    assert np.array_equal(stereo(tmp_path / "calls" / "flood.wav"), said(7, 60.0))


@pytest.mark.fault(17)
def test_two_clients_of_one_call_id_race_and_no_byte_is_mixed(tmp_path):
    races = 10
    with recording(tmp_path, calls=2 * races) as live:

        def race(number):
            for at in range(races):
                whole_call(GrpcPhone(live.url, f"same{at}"), number)

        clients = [threading.Thread(target=race, args=(number,)) for number in (0, 1)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(100)
    for at in range(races):
        heard = sorted(stereo(tmp_path / "calls" / f"same{at}{suffix}.wav").tobytes() for suffix in ("", "-2"))
        assert heard == sorted(said(number, 0.3).tobytes() for number in (0, 1))


@pytest.mark.fault(18)
def test_no_dialog_id_names_a_file_outside_the_folder(tmp_path):
    with recording(tmp_path, calls=len(HOSTILE)) as live:
        for hostile in HOSTILE:
            assert whole_call(GrpcPhone(live.url, hostile), seconds=0.1) == "OK"
    files = list((tmp_path / "calls").rglob("*.wav"))
    assert len(files) == len(HOSTILE)
    ids = {json.loads(path.read_text())["session"].get("call_id", "") for path in (tmp_path / "calls").glob("*.json")}
    assert ids == {hostile[:256] for hostile in HOSTILE}
    for path in files:
        assert path.parent == tmp_path / "calls"
        assert path.name.isascii()
        assert path.name[0].isalnum()


@pytest.mark.fault(34)
@pytest.mark.slow
def test_after_many_calls_of_which_some_are_cancelled_all_counts_are_back(tmp_path):
    calls = 120
    with recording(tmp_path) as live:

        def counts():
            process = psutil.Process()
            return len(live.engine.flows), process.num_fds(), len(threading.enumerate())

        whole_call(GrpcPhone(live.url, "first"))
        until(lambda: not live.engine.flows)
        before = counts()
        chance = random.Random(34)
        for number in range(calls):
            phone = GrpcPhone(live.url, f"call{number}")
            phone.start()
            phone.say(*(phone.sender.media(track, mulaw(number, track, 0.1)) for track in TRACKS))
            if chance.random() < 0.3:
                until(lambda n=number: len(live.named("flow_opened")) > n + 1)
                phone.cancel()
            else:
                assert phone.hang_up() == "OK"
        until(lambda: not live.engine.flows)
        few = 10  # of the client's own, which is in this process too; a leak would leave one for each call
        until(lambda: all(now <= then + few for now, then in zip(counts(), before, strict=True)))
    assert live.engine.totals.reasons["stop"] + live.engine.totals.reasons["cancelled"] == calls + 1


DISORDER = ("no_init", "no_start", "late_start", "twice", "transfer", "crowd", "garbage", "no_stop", "cancel")


def disorderly(url, seed):
    """A call with some of these troubles, the same for the same seed; it ends as the receiver or the seed wants."""
    chance = random.Random(seed)
    kinds = set(chance.sample(DISORDER, chance.randint(1, 4)))
    phone = GrpcPhone(url, f"bad{seed}")
    teller = phone.sender
    say = [] if "no_init" in kinds else [teller.dialog_init()]
    say += [] if "no_start" in kinds else [teller.segment_start("agent")]
    say += [] if "late_start" in kinds else [teller.segment_start("customer")]
    media = [
        teller.media(track, mulaw(seed, track, 1.0)[at : at + CHUNK])
        for at in range(0, 8000, CHUNK)
        for track in TRACKS
    ]
    media.insert(chance.randrange(20), teller.segment_start("customer"))
    if "transfer" in kinds:
        at = chance.randrange(20)
        media[at:at] = [teller.segment_stop("agent"), teller.segment_start("second", participant=2)]
    if "crowd" in kinds:
        at = chance.randrange(20)
        more = [teller.media("third", chance.randbytes(CHUNK)) for _ in range(5)]
        media[at:at] = [teller.segment_start("third", participant=5), *more, teller.info("third", "hold")]
    if "garbage" in kinds:
        for _ in range(10):
            media.insert(chance.randrange(len(media)), chance.randbytes(chance.randrange(200)))
    if "twice" in kinds:
        media = [message for message in media for _ in range(chance.choice((1, 2)))]
    phone.say(*say, *media)
    if "cancel" in kinds:
        phone.cancel()
    elif "no_stop" in kinds:
        phone.say(b"\x00")
        phone.cancel()
    else:
        phone.hang_up()


def test_forty_disorderly_calls_harm_no_other_and_all_is_accounted_for(tmp_path):
    # The good call waits for the others: its pauses are left out. Leaving the block checks the counters of every flow.
    with recording(tmp_path) as live:
        good = GrpcPhone(live.url, "good")
        good.start()
        for number in range(40):
            disorderly(live.url, number)
            if number % 4 == 0:
                good.talk(3, 0.1 * (number // 4 + 1), since=0.1 * (number // 4))
        assert good.hang_up() == "OK"
        until(lambda: not live.engine.flows)
    assert np.array_equal(stereo(tmp_path / "calls" / "good.wav"), said(3, 1.0))
    assert live.engine.totals.failed == 0
