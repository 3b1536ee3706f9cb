"""Texts in a graph with values of each session."""

from __future__ import annotations

import re
import string
from typing import Any, Self

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

from flowcore.node import Session
from flowcore.units import FieldType

MAX_VALUE = 64
"""Characters of an attribute's value that a text keeps: the peer chooses them."""

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*")


class SessionText(FieldType, str):
    """A text with attributes of the session in braces, such as ``Mr {last_name}``.

    Attributes are those that the graph's listener declares; loading a graph checks that.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check ``text``. Raises `ValueError` that says what to write."""
        try:
            pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is no text with attributes: {error}") from None
        for _, field, spec, conversion in pieces:
            if field is not None and (spec or conversion or not _ATTRIBUTE.fullmatch(field)):
                raise ValueError(f"{text!r}: write an attribute as its name alone, like {{call_id}}")
        if not text.strip():
            raise ValueError("needs a text that is not empty")
        return super().__new__(cls, text)

    @property
    def attributes(self) -> list[str]:
        """The attributes that the text uses, in its order."""
        return list(dict.fromkeys(field for _, field, _, _ in string.Formatter().parse(self) if field is not None))

    def resolve(self, session: Session) -> str:
        """Return the text for ``session``, in one line; empty if an attribute has no value."""
        values = {name: " ".join(session.attributes.get(name, "")[:MAX_VALUE].split()) for name in self.attributes}
        if not all(values.values()):
            return ""
        return "".join(
            literal + (values[field] if field is not None else "")
            for literal, field, _, _ in string.Formatter().parse(self)
        )

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if not isinstance(value, str):
            raise PydanticCustomError("session_text", "needs a text; write a number in quotes")
        try:
            return cls(value)
        except ValueError as error:
            raise PydanticCustomError("session_text", "{text}", {"text": str(error)}) from None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string"}
