from typing import Any, TypeVar

import pytest

from flowcore import Audio, Config, Sink, Transform


class GateConfig(Config):
    after: int = 3


class Gate(Transform[Audio, Audio, GateConfig]):
    def process(self, chunk: Audio, emit: Any) -> None:
        emit(chunk)


def test_config_class_is_the_last_type_argument():
    assert Gate.Config is GateConfig
    assert Gate(GateConfig(after=5)).config.after == 5


def test_node_without_a_config_takes_no_field():
    class Plain(Sink[Audio]):
        def process(self, chunk: Audio) -> None: ...

    assert Plain.Config is Config


def test_subclass_keeps_the_config():
    class Narrow(Gate):
        pass

    assert Narrow.Config is GateConfig


def test_base_for_several_nodes_is_generic_over_their_configs():
    class Keeping(Config):
        path: str = ""

    class WavConfig(Keeping):
        encoding: str = ""

    kept = TypeVar("kept", bound=Keeping)

    class Recorder(Sink[Audio, kept]):
        def process(self, chunk: Audio) -> None: ...

    class Wav(Recorder[WavConfig]):
        pass

    assert Wav.Config is WavConfig


def test_nested_config_is_refused_with_the_form_that_works():
    with pytest.raises(TypeError, match=r"before the class, and give it .* as in Sink\[Audio, OldConfig\]"):

        class Old(Sink[Audio]):
            class Config(Config):
                pass

            def process(self, chunk: Audio) -> None: ...
