"""A decoder in a process of its own: its messages, and the death of either side."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from flowcore import CannotStart, Config, Word
from flowcore.speech import Decoded, DecodeFailed, Decoder
from nodes.speech.local import decoder_process
from nodes.speech.local.decoder_pool import DecoderDied
from nodes.speech.local.decoder_process import DecoderProcess
from tests.support.live import until

pytestmark = pytest.mark.slow


class ParrotConfig(Config):
    greeting: str = "hello"
    broken: str = ""


class Parrot(Decoder[ParrotConfig]):
    """Says what the first sample tells it to."""

    def open(self) -> None:
        if self.config.broken == "refuses":
            raise CannotStart("there is no parrot: buy one", field="engine")
        if self.config.broken:
            os._exit(7)

    def decode(self, samples: np.ndarray, phrases: tuple[str, ...] = ()) -> Decoded:
        if phrases:
            return Decoded(" and ".join(phrases))
        if samples[0] == 1:
            raise DecodeFailed("no words")
        if samples[0] == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if samples[0] == 3:
            signal.pause()
        if samples[0] == 4:
            links = [f"/proc/self/fd/{fd}" for fd in range(256)]
            return Decoded(" ".join(os.readlink(link) for link in links if os.path.lexists(link)))
        if samples[0] == 5:
            raise ZeroDivisionError("a mistake")
        text = f"{self.config.greeting} {len(samples)} {samples.sum()} ♪"
        return Decoded(text, 0.25, (Word("hi", 0.5, 0.75, 0.5),), "en")

    def decode_interim(self, samples: np.ndarray, phrases: tuple[str, ...] = ()) -> Decoded:
        return Decoded(f"so far {' and '.join(phrases)}")

    def close(self) -> None:
        pass


def audio(first: int, length: int = 1000) -> np.ndarray:
    samples = np.zeros(length, np.int16)
    samples[0] = first
    return samples


@pytest.fixture
def parrot(monkeypatch) -> Iterator[DecoderProcess]:
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parent)])
    decoder = DecoderProcess(Parrot, ParrotConfig(greeting="hi"))
    decoder.open()
    yield decoder
    decoder.close()


def make(broken: str) -> DecoderProcess:
    return DecoderProcess(Parrot, ParrotConfig(broken=broken))


def test_samples_go_there_and_words_come_back(parrot):
    samples = np.arange(-5000, 5000, dtype=np.int16)
    heard = parrot.decode(samples)
    assert heard == Decoded(f"hi 10000 {samples.sum()} ♪", 0.25, (Word("hi", 0.5, 0.75, 0.5),), "en")
    assert parrot.decode(samples[::2]).text == f"hi 5000 {samples[::2].sum()} ♪"
    assert parrot.pid != os.getpid()


def test_phrases_go_there_too(parrot):
    assert parrot.decode(audio(0), ("Erika", "Łódź")) == Decoded("Erika and Łódź")


def test_interim_texts_are_decoded_there_in_their_own_way(parrot):
    assert parrot.decode_interim(audio(0)) == Decoded("so far ")
    assert parrot.decode_interim(audio(0), ("Erika", "Łódź")) == Decoded("so far Erika and Łódź")


def test_an_error_there_is_an_error_here_and_the_next_is_decoded(parrot):
    with pytest.raises(DecodeFailed, match="no words") as caught:
        parrot.decode(audio(1))
    assert not isinstance(caught.value, DecoderDied)
    with pytest.raises(DecodeFailed, match="ZeroDivisionError: a mistake"):
        parrot.decode(audio(5))
    assert parrot.decode(audio(0)).text.startswith("hi")


def test_a_crash_is_told_with_its_signal_and_a_new_process_is_as_good(parrot):
    with pytest.raises(DecoderDied, match="SIGSEGV"):
        parrot.decode(audio(2))
    parrot.close()
    parrot.open()
    assert parrot.decode(audio(0)).text.startswith("hi")


def test_one_that_hangs_is_given_up(parrot, monkeypatch):
    monkeypatch.setattr(decoder_process, "DECODE_TIMEOUT", 0.2)
    with pytest.raises(DecoderDied, match=r"no answer within 0\.2 s"):
        parrot.decode(audio(3))
    parrot.close()


def test_one_that_reads_no_more_is_given_up_as_well(monkeypatch):
    monkeypatch.setattr(decoder_process, "DECODE_TIMEOUT", 0.2)
    decoder = DecoderProcess(Parrot, ParrotConfig())
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parent)])
    decoder.open()
    os.kill(decoder.pid, signal.SIGSTOP)
    with pytest.raises(DecoderDied, match=r"hung up|no answer"):
        decoder.decode(audio(0, 12 * 16000))  # more than a socket holds
    decoder.close()


def test_stop_cuts_a_running_decode_off(parrot):
    caught: list[Exception] = []

    def decode() -> None:
        try:
            parrot.decode(audio(3))
        except DecoderDied as error:
            caught.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    parrot.stop()
    thread.join(60)
    assert len(caught) == 1
    parrot.close()
    with pytest.raises(DecoderDied, match="closed"):
        parrot.open()


def test_it_holds_none_of_our_sockets_and_files(parrot):
    with socket.create_server(("127.0.0.1", 0)) as listening, open(__file__) as file:
        listening.set_inheritable(False)
        other = DecoderProcess(Parrot, ParrotConfig())
        other.open()
        held = other.decode(audio(4)).text.split()
        mine = {os.readlink(f"/proc/self/fd/{fd.fileno()}") for fd in (listening, file)}
        assert not mine & set(held)
        assert sum(name.startswith("socket:") for name in held) == 1
        other.close()


def test_a_terminals_ctrl_c_and_a_service_managers_term_leave_it_alive(parrot):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(parrot.pid, number)
    assert parrot.decode(audio(0)).text.startswith("hi")


def test_it_is_nicer_than_we_are(parrot):
    assert psutil.Process(parrot.pid).nice() == min(19, psutil.Process().nice() + decoder_process.NICENESS)


def test_what_it_says_when_it_cannot_start_reaches_us(parrot):
    refusing = make("refuses")
    with pytest.raises(CannotStart, match="there is no parrot: buy one") as caught:
        refusing.open()
    assert caught.value.field == "engine"
    refusing.close()


def test_one_that_dies_while_it_loads_is_told(parrot):
    dying = make("dies")
    with pytest.raises(DecoderDied, match="exit code 7"):
        dying.open()
    dying.close()


def test_closing_what_never_opened_does_nothing():
    make("").close()


def test_the_process_answers_each_request_until_its_socket_closes(monkeypatch):
    monkeypatch.setattr(decoder_process, "_tie_to_parent", lambda parent: None)
    ours, theirs = socket.socketpair()
    job = {"module": __name__, "class": "Parrot", "config": {"greeting": "hi"}, "parent": os.getpid()}
    process = threading.Thread(target=decoder_process.main, args=(theirs.detach(), job))
    process.start()
    with Connection(ours.detach()) as connection:
        assert connection.recv_bytes() == decoder_process.READY
        answers = []
        for first in (0, 1, 5):
            connection.send_bytes(msgspec.msgpack.encode(("decode", audio(first, 10).tobytes(), ())))
            answers.append(connection.recv_bytes())
    process.join(60)
    assert msgspec.msgpack.decode(answers[0][1:], type=Decoded).text == "hi 10 0 ♪"
    assert answers[1:] == [b"!no words", b"!ZeroDivisionError: a mistake"]
    assert not process.is_alive()


def test_the_process_reports_a_decoder_that_cannot_open_and_ends(monkeypatch):
    monkeypatch.setattr(decoder_process, "_tie_to_parent", lambda parent: None)
    ours, theirs = socket.socketpair()
    job = {"module": __name__, "class": "Parrot", "config": {"broken": "refuses"}, "parent": os.getpid()}
    decoder_process.main(theirs.detach(), job)
    with Connection(ours.detach()) as connection:
        assert json.loads(connection.recv_bytes()[1:]) == {"message": "there is no parrot: buy one", "field": "engine"}


PARENT = """
import sys, time, threading
sys.path.insert(0, {here!r})
from test_decoder_process import Parrot, ParrotConfig, audio
from nodes.speech.local.decoder_process import DecoderProcess
decoder = DecoderProcess(Parrot, ParrotConfig())
decoder.open()
print(decoder.pid, flush=True)
decoder.decode(audio(3))
"""


@pytest.mark.slow
def test_it_dies_with_a_parent_that_is_killed_even_while_it_hangs():
    here = str(Path(__file__).parent)
    code = PARENT.format(here=here)
    root = str(Path(__file__).parents[4])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, f"{root}/tests"])}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
