"""Fakes of speech services driven stream by stream, and by the conformance suite in hundredfold real time."""

import threading
from abc import abstractmethod
from queue import Queue

import numpy as np

from flowcore.speech import Ended
from nodes.speech.testing import StreamingConformance
from tests.support.live import PATIENCE
from tools.fake_google import mulaw


class Hand:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self):
        return self.now


class Talk:
    """One stream: sends audio, and keeps everything that comes back."""

    def __init__(self, engine, encoding="mulaw", rate=8000, phrases=()):
        self.heard = Queue()
        self.results = []
        self.stream = engine.stream(encoding, rate, self.heard.put, phrases)

    def say(self, sound, piece=800):
        for at in range(0, len(sound), piece):
            self.stream.send(sound[at : at + piece])
        return self

    def end(self):
        """Half-close, and return the error of the stream's end when it comes."""
        self.stream.end()
        return self.rest()

    def rest(self):
        """Return the error of the stream's end when it comes."""
        while not isinstance(event := self.heard.get(timeout=PATIENCE), Ended):
            self.results.append(event)
        return event.error

    @property
    def finals(self):
        return [result.text for result in self.results if result.final and result.text]

    @property
    def words(self):
        return [(word.text, word.start, word.end) for result in self.results if result.final for word in result.words]


class ServiceConformance(StreamingConformance):
    """The suite for streaming engines over a fake; its streams live for 18 s, so that seven minutes are enough.

    A subclass starts the fake as ``service`` and gives its clock as ``hand``.
    """

    speed = 100
    minutes = 7
    told = 18.0
    """Age of a stream that the driver is told, in seconds."""

    @abstractmethod
    def loop(self):
        """Return the engine's event loop, to which functions can be posted."""

    def tick(self, now):
        """Move the fake's clock, never faster than the two event loops go round on a busy machine."""
        self.hand.now = now
        for _ in range(4):
            self.service.turn()
            turned = threading.Event()
            self.loop().post(turned.set)
            turned.wait(1)

    def call(self, *, max_stream=None, **more):
        self.running = super().call(max_stream=self.told, **more)
        return self.running

    def speak(self, words, seconds):
        spoken = [(word.number, word.start, word.end) for word in words]
        return np.frombuffer(mulaw(spoken, seconds), np.uint8), "mulaw", 8000
