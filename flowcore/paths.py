"""Paths in a graph: of files that exist, and templates from which each session makes the path of its file.

A peer chooses its own call id, so an id never picks a directory: each value becomes one short, plain piece of a name
(OWASP File Upload Cheat Sheet: the name must be ours, not theirs).
"""

from __future__ import annotations

import glob
import os
import re
import string
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

from flowcore.errors import CannotStart
from flowcore.node import Session
from flowcore.units import FieldType

BUILT_IN = {"flow": "the flow's own name, unique", "started": "when the session began, as {started:%Y-%m-%d}"}
"""Fields of every template. All others are attributes, which the graph's listener declares."""
UNKNOWN = "unknown"
"""The value of an attribute that the peer did not give."""

STARTED = "%Y-%m-%dT%H-%M-%S"
MAX_PIECE = 64
"""Characters of a field's value that a name keeps."""

_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
_WILDCARD = re.compile(r"[*?]")  # brackets are common in names of files
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*")
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]|\.{2,}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # Windows opens a device for these
_EXAMPLE = datetime(2026, 1, 2, 3, 4, 5)


def safe_name(value: str) -> str:
    """``value`` as one piece of a file name: ``[A-Za-z0-9][A-Za-z0-9._-]{0,63}``, without ``..`` in it."""
    name = _FOREIGN.sub("_", value[:MAX_PIECE]) or UNKNOWN
    if not name[0].isalnum() or _DEVICE.match(name):
        name = f"x{name}"
    return name[:MAX_PIECE]


class LocalPath(FieldType, str):
    """The path of one file on this machine; a URL, a folder and a pattern such as ``in/*.wav`` are refused."""

    __slots__ = ()

    EXAMPLE: ClassVar[str] = "recordings/call.wav"
    INSTEAD_OF_URL: ClassVar[str] = "download it first, and write the path of the local file"
    INSTEAD_OF_PATTERN: ClassVar[str] = "write the path of one file, and run the graph once for each"

    def __new__(cls, text: str) -> Self:
        """Check ``text``. Raises `ValueError` that says what to write."""
        if _URL.match(text):
            raise ValueError(f"{text!r} is a URL, not a file of this machine: {cls.INSTEAD_OF_URL}")
        if _WILDCARD.search(text):
            raise ValueError(f"{text!r} is a pattern, not a file: {cls.INSTEAD_OF_PATTERN}")
        if "\0" in text or text.endswith("/"):
            raise ValueError(f"{text!r} names no file: write for example {cls.EXAMPLE}")
        return super().__new__(cls, text)

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if not isinstance(value, str | os.PathLike):
            raise PydanticCustomError("local_path", "needs a path, like {example}", {"example": cls.EXAMPLE})
        try:
            return cls(os.fspath(value))
        except ValueError as error:
            raise PydanticCustomError("local_path", "{text}", {"text": str(error)}) from None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": [cls.EXAMPLE]}


class PathTemplate(LocalPath):
    """The path of a session's file, with fields of the session: ``recordings/{started:%Y-%m-%d}/{flow}.wav``.

    Fields are ``flow``, ``started`` and the attributes that the graph's listener declares; loading a graph checks that.
    The directories before the first field are the template's root; no session can name a file outside of it.
    """

    __slots__ = ()

    EXAMPLE = "recordings/{flow}.wav"
    INSTEAD_OF_URL = "write to a local folder, and upload finished files with a tool such as rclone"
    INSTEAD_OF_PATTERN = "give each call's file a name with fields, such as recordings/{flow}.wav"

    def __new__(cls, text: str) -> Self:
        """Check ``text``. Raises `ValueError` that says what to write."""
        try:
            pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is no path template: {error}") from None
        for _, field, spec, conversion in pieces:
            if field is not None:
                _check_field(field, spec or "", conversion)
        template = super().__new__(cls, text)
        if text.endswith("/.") or text.strip() in ("", "."):
            raise ValueError(f"{text!r} names no file: write for example {cls.EXAMPLE}")
        if ".." in Path(text[len(cls._static_root(text)) :]).parts:
            raise ValueError(f"{text!r} climbs out of its own directory: leave out the '..' after the first field")
        return template

    @staticmethod
    def _static_root(text: str) -> str:
        before = text.split("{", 1)[0]
        return before[: before.rfind("/") + 1]

    @property
    def attributes(self) -> list[str]:
        """The attributes that the template uses, in its order."""
        fields = dict.fromkeys(field for _, field, _, _ in string.Formatter().parse(self) if field is not None)
        return [field for field in fields if field not in BUILT_IN]

    @property
    def root(self) -> Path:
        """The directory that all files of this template lie in or below."""
        return Path(self._static_root(self)).expanduser()

    @property
    def pattern(self) -> str:
        """The pattern with which `Path.glob` finds all files of this template below its root, numbered ones too."""
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
                yield safe_name(session.started.strftime(spec or STARTED))
            elif field is not None:
                yield safe_name(values.get(field, ""))


def _check_field(field: str, spec: str, conversion: str | None) -> None:
    if not _ATTRIBUTE.fullmatch(field):
        known = "use {flow}, {started} or an attribute of the call, such as {call_id}"
        raise ValueError(f"{{{field}}} is not known: {known}")
    if conversion:
        raise ValueError(f"{{{field}!{conversion}}}: leave out !{conversion}")
    if spec and field != "started":
        raise ValueError(f"{{{field}:{spec}}}: only {{started}} takes a format, like {{started:%Y-%m-%d}}")
    if spec and ("{" in spec or _FOREIGN.search(_EXAMPLE.strftime(spec))):
        raise ValueError(
            f"{{started:{spec}}} gives more than letters, digits, '.', '_' and '-': write {{started:%Y-%m-%d}}"
        )
