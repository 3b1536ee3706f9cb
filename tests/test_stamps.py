"""Stamps give the time at which they were made; other audio gives none."""

import base64

from flowcore import stamps


def test_age_is_the_time_since_the_stamp() -> None:
    age = stamps.age(stamps.stamp() + b"\xff" * 148)
    assert age is not None
    assert 0 <= age < 60


def test_audio_without_a_stamp_has_no_age() -> None:
    assert stamps.age(b"\xff" * 160) is None
    assert stamps.age(b"") is None


def test_a_stamp_is_whole_groups_of_base64() -> None:
    assert len(stamps.stamp()) == stamps.LENGTH
    assert not base64.b64encode(stamps.stamp()).endswith(b"=")
