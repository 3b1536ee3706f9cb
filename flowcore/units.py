"""Quantities that carry their unit, as they are written in a graph: ``120ms``, ``-45dB``, ``64KiB``, ``16kHz``.

Each is a plain Python number with a unit in its type, so it costs nothing to use. A bare number is refused with a
message that shows how to write it: different readers of one file took ``window: 120`` for seconds and for milliseconds.
"""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*([A-Za-zµ]*)\s*")


class FieldType:
    """Base of types of config fields: ``_validate`` makes a value from that of a graph, ``str`` writes one."""

    __slots__ = ()

    @classmethod
    def _validate(cls, value: Any) -> Self:
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.to_string_ser_schema()
        return core_schema.no_info_plain_validator_function(cls._validate, serialization=written)


class Quantity(FieldType):
    """Base of all quantities: parses a number and its unit."""

    UNITS: ClassVar[dict[str, float]]
    EXAMPLE: ClassVar[str]
    BARE: ClassVar[bool] = False  # whether a number without a unit is unambiguous

    @classmethod
    def _number(cls, text: str | float) -> float:
        if isinstance(text, (int, float)):
            return float(text)
        match = _NUMBER.fullmatch(text)
        if match is None or match[2] not in cls.UNITS:
            units = ", ".join(unit for unit in cls.UNITS if unit)
            raise ValueError(f"{text!r} is not a quantity: write a number and one of {units}, like {cls.EXAMPLE}")
        number = float(match[1]) * cls.UNITS[match[2]]
        if not math.isfinite(number):
            raise ValueError("the number is too large")
        return number

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        bare = isinstance(value, (int, float)) or (isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+", value))
        if isinstance(value, bool) or not isinstance(value, (int, float, str)) or (bare and not cls.BARE):
            raise PydanticCustomError(
                "unit_missing", "needs a unit: write for example {example}", {"example": cls.EXAMPLE}
            )
        try:
            return cls(value)  # type: ignore[call-arg]  # the subclass is also a float or an int
        except ValueError as error:
            raise PydanticCustomError("unit_wrong", "{text}", {"text": str(error)}) from None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        units = "|".join(unit for unit in cls.UNITS if unit)
        text = {"type": "string", "pattern": rf"^\s*[-+]?\d+(\.\d+)?\s*({units})\s*$", "examples": [cls.EXAMPLE]}
        return {"anyOf": [text, {"type": "integer"}]} if cls.BARE else text


class Duration(Quantity, float):
    """A length of time, in seconds. ``Duration("120ms") == 0.12``; a number given in code is seconds."""

    UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
    EXAMPLE = "120ms"

    def __new__(cls, value: str | float) -> Self:
        number = cls._number(value)
        if number < 0:
            raise ValueError(f"{value!r} is negative: a length of time is zero or more")
        return super().__new__(cls, number)

    def samples(self, rate: int) -> int:
        """The number of samples at ``rate`` Hz, rounded."""
        return round(self * rate)

    def __str__(self) -> str:
        for unit in ("h", "min", "s", "ms"):
            number = self / self.UNITS[unit]
            if number >= 1 and number == int(number):
                return f"{int(number)}{unit}"
        return f"{self * 1000:g}ms"


class Decibels(Quantity, float):
    """A level in dB; for audio, relative to full scale, so 0 is the loudest."""

    UNITS = {"dB": 1.0, "dBFS": 1.0}
    EXAMPLE = "-45dB"

    def __new__(cls, value: str | float) -> Self:
        return super().__new__(cls, cls._number(value))

    def __str__(self) -> str:
        return f"{float(self):g}dB"


class Size(Quantity, int):
    """An amount of memory or storage, in bytes."""

    UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 1000, "MB": 10**6, "GB": 10**9}
    EXAMPLE = "64KiB"

    def __new__(cls, value: str | float) -> Self:
        number = cls._number(value)
        if number < 0:
            raise ValueError(f"{value!r} is negative: a size is zero or more")
        return super().__new__(cls, round(number))

    def __str__(self) -> str:
        for unit in ("GiB", "MiB", "KiB"):
            if self and self % self.UNITS[unit] == 0:
                return f"{self // int(self.UNITS[unit])}{unit}"
        return f"{int(self)}B"


class Rate(Quantity, int):
    """A sample rate in Hz. A bare number is Hz too: every tool of the field writes ``rate: 16000``."""

    UNITS = {"": 1, "Hz": 1, "kHz": 1000}
    EXAMPLE = "16kHz"
    BARE = True

    def __new__(cls, value: str | float) -> Self:
        number = cls._number(value)
        if not 1000 <= number <= 384_000:
            raise ValueError(f"{value!r} is no sample rate: it lies between 1kHz and 384kHz")
        return super().__new__(cls, round(number))

    def __str__(self) -> str:
        return f"{int(self) / 1000:g}kHz"
