"""The config of captures: which calls, where, and how much."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from flowcore import Config, Duration, PathTemplate, Size

SUFFIX = ".capture"
"""The end of the name of a capture."""


class CaptureConfig(Config):
    """Which calls are captured, where the files are, and their limits."""

    calls: Literal["asked", "all", "none"] = "asked"
    """Calls whose messages are written to files for ``flowcore replay``: those that ``flowcore capture`` asks for,
    all, or none whoever asks."""

    path: PathTemplate = PathTemplate("captures/{started:%Y-%m-%d}/{flow}.capture")
    """Path of the file, with fields of the session, ending with .capture; missing directories are made. Only this user
    can read it."""

    max: Size = Field(Size("256MiB"), ge=Size("4KiB"), le=Size("1GiB"))
    """Size at which a capture ends; the call goes on. Both parties take about 120 MiB an hour."""

    length: Duration = Field(Duration("2h"), ge=Duration("1s"))
    """Length at which a capture ends; the call goes on."""

    min_free: Size = Size("200MiB")
    """Free space that a capture leaves for recordings: with less, it ends."""

    @field_validator("path")
    @classmethod
    def _has_suffix(cls, path: PathTemplate) -> PathTemplate:
        if not path.endswith(SUFFIX):
            raise ValueError(f"write a name that ends with {SUFFIX}, by which `flowcore recover` knows captures")
        return path
