from my_transform import MyTransform

from flowcore.testing import duration, joined, run, tone


def test_my_transform_changes_the_level():
    heard = run(MyTransform, {"gain": "-6dB"}, tone("100ms"))
    assert abs(heard[0].level_db() - tone("100ms")[0].level_db() + 6) < 0.1
    assert duration(heard) == "100ms"


def test_my_transform_clips_what_is_too_loud():
    heard = joined(run(MyTransform, {"gain": "20dB"}, tone("100ms")))
    assert (heard.min(), heard.max()) == (-32768, 32767)
