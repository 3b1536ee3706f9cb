"""The rules for live fields, for every node that has any."""

from __future__ import annotations

import pytest

from flowcore.live import changed_fields, live_fields
from flowcore.registry import available

VALUES = {
    "interleave": {"wait": "2s"},
    "mix": {"halve": True},
    "monitor": {"select": "all", "channels": "stereo", "volume": "-6dB"},
    "netsim": {
        "corrupt": 0.1,
        "corrupt_bytes": 2,
        "loss": 0.1,
        "loss_burst": 2,
        "duplicate": 0.1,
        "reorder": 0.1,
        "reorder_window": "20ms",
        "delay": "20ms",
        "jitter": "20ms",
        "freeze": "20ms",
        "freeze_every": "1s",
    },
    "transcribe": {
        "interim": "3s",
        "phrases": ["Acme"],
        "uncertain_below": 0.1,
        "threshold": 0.5,
        "pause": "200ms",
        "long_pause": "1s",
        "enough": "1s",
        "pre_roll": "100ms",
        "max_segment": "5s",
    },
    "volume": {"level": "-6dB"},
}
"""Another value for each live field."""
CLASSES = {name: entry.load() for name, entry in available().items()}
CASES = [(node, field) for node, values in VALUES.items() for field in values]


def test_every_live_field_is_here():
    assert {name: live_fields(cls.Config) for name, cls in CLASSES.items() if live_fields(cls.Config)} == {
        name: list(values) for name, values in VALUES.items()
    }


@pytest.mark.parametrize(("node", "field"), CASES)
def test_neither_resource_nor_formats_depend_on_a_live_field(node, field):
    cls = CLASSES[node]
    before, after = cls.Config(), cls.Config(**{field: VALUES[node][field]})
    assert changed_fields(before, after) == [field]
    assert cls.make_resource(before) == cls.make_resource(after)
    assert cls.accepts(before) == cls.accepts(after)
