"""The config field ``engine``: the name of a speech engine, alone or with the engine's own config."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from flowcore import Config, FlowcoreError
from flowcore.diagnostics import did_you_mean
from flowcore.speech import Decoder, Engine, Streamer, available, find
from flowcore.units import FieldType


@dataclass(frozen=True)
class SpeechEngine(FieldType):
    """``google``, or ``{use: google, language: de-DE}``. Imports the engine, and opens nothing."""

    name: str = field(compare=False)
    cls: type[Engine]
    config: Config

    def make(self) -> Engine:
        """Make a new engine, not yet opened."""
        return self.cls(self.config)

    @property
    def streams(self) -> bool:
        """Whether the engine is a `Streamer`: it gets audio while it is spoken, not whole utterances."""
        return issubclass(self.cls, Streamer)

    @property
    def is_local(self) -> bool:
        """Whether the engine runs on this machine."""
        return issubclass(self.cls, Decoder) and not self.cls.remote

    @property
    def decoder(self) -> type[Decoder]:
        """The class of an engine that is a `Decoder`."""
        assert issubclass(self.cls, Decoder)  # noqa: S101  # not `streams`
        return self.cls

    def __str__(self) -> str:
        return self.name

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        fields = {"use": value} if isinstance(value, str) else dict(value) if isinstance(value, dict) else {}
        name = fields.pop("use", None)
        if not isinstance(name, str):
            raise PydanticCustomError("engine_unnamed", "needs a name: write for example google or {use: google}")
        try:
            found = find(name)
        except FlowcoreError as error:
            raise ValueError(str(error)) from error
        try:
            return cls(name, found, found.Config(**fields))
        except ValidationError as error:
            raise _with_advice(name, found, error) from None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        name = {"type": "string", "examples": sorted(available())}
        return {"anyOf": [name, {"type": "object", "required": ["use"], "properties": {"use": name}}]}


def _with_advice(name: str, found: type[Engine], error: ValidationError) -> ValidationError:
    """Return the same errors at the same places, with advice for fields that the engine does not have."""
    details: list[InitErrorDetails] = []
    for one in error.errors():
        if one["type"] == "extra_forbidden":
            known = found.Config.model_fields
            help = did_you_mean(str(one["loc"][-1]), known, f"it has {', '.join(known) or 'no fields'}")
            wrong = PydanticCustomError("engine_field", "{text}", {"text": f"{name} has no such field: {help}"})
        elif one["type"] == "missing":
            wrong = PydanticCustomError("engine_field", "{text}", {"text": f'{name} needs "{one["loc"][-1]}"'})
        else:
            wrong = PydanticCustomError("engine_field", "{text}", {"text": one["msg"]})
        details.append(InitErrorDetails(type=wrong, loc=one["loc"], input=one["input"]))
    return ValidationError.from_exception_data(name, details)
