"""File names made from what a session says of itself, without believing any of it.

A peer chooses its own call id, so an id never picks a directory: each value becomes one short, plain piece of a name
(OWASP File Upload Cheat Sheet: the name must be ours, not theirs).
"""

from __future__ import annotations

import glob
import re
import string
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from flowcore.errors import CannotStart
from flowcore.node import Session

ATTRIBUTES = (
    "call_id",
    "session_id",
    "ani",
    "dnis",
    "account_id",
    "subaccount_id",
    "rc_account_id",
    "agent_id",
    "product_type",
    "product_id",
)
"""What a template may say of the call; an attribute that the peer did not give reads ``unknown``."""

FIELDS = ("flow", "started", *ATTRIBUTES)
STARTED = "%Y-%m-%dT%H-%M-%S"
LONGEST = 64

_FOREIGN = re.compile(r"[^A-Za-z0-9._-]|\.{2,}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # Windows opens a device for these
_EXAMPLE = datetime(2026, 1, 2, 3, 4, 5)


def safe(value: str) -> str:
    """``value`` as one piece of a file name: ``[A-Za-z0-9][A-Za-z0-9._-]{0,63}``, without ``..`` in it."""
    name = _FOREIGN.sub("_", value[:LONGEST]) or "unknown"
    if not name[0].isalnum() or _DEVICE.match(name):
        name = f"x{name}"
    return name[:LONGEST]


class PathTemplate(str):
    """A file's path with fields of the session in it: ``recordings/{started:%Y-%m-%d}/{flow}.wav``.

    The directories before the first field are its root; no session can name a file outside of it.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check ``text``; raises ValueError that lists what is known."""
        try:
            pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is no path template: {error}") from None
        for _, field, spec, conversion in pieces:
            if field is not None:
                _check_field(field, spec or "", conversion)
        if "\0" in text or text.endswith(("/", "/.")) or text.strip() in ("", "."):
            raise ValueError(f"{text!r} names no file: write for example recordings/{{flow}}.wav")
        if ".." in Path(text[len(cls._static_root(text)) :]).parts:
            raise ValueError(f"{text!r} climbs out of its own directory: leave out the '..' after the first field")
        return super().__new__(cls, text)

    @staticmethod
    def _static_root(text: str) -> str:
        before = text.split("{", 1)[0]
        return before[: before.rfind("/") + 1]

    @property
    def root(self) -> Path:
        """The directory that all files of this template lie in or below."""
        return Path(self._static_root(self)).expanduser()

    @property
    def pattern(self) -> str:
        """What `Path.glob` finds all files of this template with, below its root, also those with a number added."""
        pieces = string.Formatter().parse(self[len(self._static_root(self)) :])
        path = Path("".join(glob.escape(text) + ("*" if field is not None else "") for text, field, _, _ in pieces))
        return re.sub(r"\*+", "*", str(path.with_stem(path.stem + "*")))  # two stars have another meaning

    def resolve(self, session: Session) -> Path:
        """The path for ``session``. Raises `CannotStart` when a symbolic link leads it out of the root."""
        path = Path("".join(self._pieces(session))).expanduser()
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise CannotStart(f"{path} leads out of {self.root}: remove the symbolic link", field="path")
        return path

    def _pieces(self, session: Session) -> Iterator[str]:
        values = {**session.attributes, "flow": session.flow}
        for literal, field, spec, _ in string.Formatter().parse(self):
            yield literal
            if field == "started":
                yield safe(session.started.strftime(spec or STARTED))
            elif field is not None:
                yield safe(values.get(field, ""))

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if not isinstance(value, str):
            raise PydanticCustomError(
                "path_template", "needs a path, like {example}", {"example": "recordings/{flow}.wav"}
            )
        try:
            return cls(value)
        except ValueError as error:
            raise PydanticCustomError("path_template", "{text}", {"text": str(error)}) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": ["recordings/{started:%Y-%m-%d}/{flow}.wav"]}


def _check_field(field: str, spec: str, conversion: str | None) -> None:
    if field not in FIELDS:
        raise ValueError(f"{{{field}}} is not known: use {', '.join(f'{{{name}}}' for name in FIELDS)}")
    if conversion:
        raise ValueError(f"{{{field}!{conversion}}}: leave out !{conversion}")
    if spec and field != "started":
        raise ValueError(f"{{{field}:{spec}}}: only {{started}} takes a format, like {{started:%Y-%m-%d}}")
    if spec and ("{" in spec or _FOREIGN.search(_EXAMPLE.strftime(spec))):
        raise ValueError(
            f"{{started:{spec}}} gives more than letters, digits, '.', '_' and '-': write {{started:%Y-%m-%d}}"
        )
