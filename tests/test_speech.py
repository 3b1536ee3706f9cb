"""The front door for speech engines: what is installed, and what each of them says of itself before it is opened."""

import subprocess
import sys
from math import inf

import pytest

from flowcore.speech import Decoder, Engine, Limits, StreamError, UnknownEngine, available, find
from flowcore.speech import Streamer as Streaming

NAMES = sorted(available())


def test_the_engines_that_come_along_are_found():
    assert {"google", "moonshine", "whisper"} <= set(NAMES)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of no account")  # without one, that engine's config is refused


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_is_one_of_two_kinds_and_is_made_without_config(name):
    cls = find(name)
    assert issubclass(cls, Decoder | Streaming)
    engine = cls()
    assert engine.config == cls.Config()
    for field, info in cls.Config.model_fields.items():
        assert info.description, f"{field} says nothing of itself"
    assert cls.__doc__


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(find(name), Streaming)])
def test_the_limits_of_a_provider_can_be_kept(name):
    limits = find(name)().limits
    assert limits.formats
    assert limits.pace > 1  # else nothing that had to be repeated would ever be caught up with
    assert limits.max_stream > 10
    assert limits.idle > 1
    assert all(limits.max_request >= rate / 10 for _, rate in limits.formats)


def test_nothing_heavy_is_imported_to_know_an_engine():
    heavy = (
        "{'google.cloud', 'grpc', 'faster_whisper', 'moonshine_cpp', 'moonshine_voice', 'onnx', 'onnxruntime', 'soxr'}"
    )
    code = (
        "import sys; from flowcore.speech import available, find; [find(name)() for name in available()]; "
        f"print({heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stdout + done.stderr


def test_a_name_that_nobody_brings_is_refused_with_what_was_meant():
    with pytest.raises(UnknownEngine, match=r'no speech engine "gogle": did you mean "google"\?') as error:
        find("gogle")
    assert error.value.name == "gogle"
    with pytest.raises(UnknownEngine, match="there are google"):
        find("")


def test_by_default_nothing_is_limited_but_the_size_of_requests():
    limits = Limits((("s16", 16000),))
    assert (limits.max_stream, limits.idle, limits.max_request) == (inf, inf, 25_000)


def test_every_way_to_fail_is_in_one_tree():
    assert {cls.__name__ for cls in StreamError.__subclasses__()} == {"Expired", "Unavailable", "OverQuota", "Rejected"}
    assert all(cls.__name__ in (StreamError.__doc__ or "") for cls in StreamError.__subclasses__())
    with pytest.raises(TypeError):
        Engine()  # neither kind
