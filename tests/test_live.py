"""Live fields are marked in the annotation of a config."""

from typing import Annotated

from pydantic import Field

from flowcore import Config, Decibels, Live
from flowcore.live import changed_fields, live_fields


class GateConfig(Config):
    level: Live[Decibels] = Field(Decibels(0), ge=-60)
    names: Live[Annotated[tuple[str, ...], Field(max_length=2)]] = ()
    rate: int = 8000


def test_live_fields_keep_their_type_and_their_bounds():
    assert live_fields(GateConfig) == ["level", "names"]
    config = GateConfig.model_validate({"level": "-6dB", "names": ["a"]})
    assert (config.level, config.names) == (-6, ("a",))
    for wrong in ({"level": "-61dB"}, {"level": "loud"}, {"names": ["a", "b", "c"]}):
        try:
            GateConfig.model_validate(wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)


def test_changed_fields_are_those_with_another_value():
    assert changed_fields(GateConfig(), GateConfig(rate=8000)) == []
    assert changed_fields(GateConfig(), GateConfig(level=Decibels(-1), rate=16000)) == ["level", "rate"]
