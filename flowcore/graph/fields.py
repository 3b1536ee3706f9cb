"""Checks a mapping of the file against a pydantic model, and finds the position of each error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.graph.source import Scalar, Tree, YamlList, YamlMapping, find
from flowcore.graph.values import Values, is_valid
from flowcore.reference import quantity_of

Model = TypeVar("Model", bound=BaseModel)

# Types of errors whose text does not quote the value: pydantic's own, without those that hold a validator's text.
_DISCREET = {*get_args(ErrorType), "unit_missing"} - {"value_error", "assertion_error"}


def check(model: type[Model], fields: YamlMapping, at: Position, owner: str, values: Values) -> Model | None:
    """Make the model from ``fields``; None after a problem.

    ``at`` is the position at which a missing field is shown. ``owner`` names the node in messages: ``call``, or
    ``call's queue``.
    """
    if not is_valid(fields):
        return None
    before = len(values.problems)
    plain = values.of(fields)
    if len(values.problems) > before:
        return None
    for name, key in _open_secrets(model, fields, plain, values):
        message = f"{owner}: {name} must not be written where others can read it"
        values.problems.add("open-secret", message, key, f"write  {name}: ${{NAME}}  and set NAME in the environment")
    if len(values.problems) > before:
        return None
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        _Errors(model, fields, at, owner, values).report(error.errors(include_url=False))
        return None


def _open_secrets(
    model: type[BaseModel], fields: YamlMapping, plain: Mapping[str, Any], values: Values
) -> Iterator[tuple[str, Position]]:
    """Secrets that are written in the file or on the command line instead of ``${NAME}``: name and position."""
    for name in model.model_fields.keys() & fields.entries.keys():
        entry, annotation = fields.entries[name], model.model_fields[name].annotation
        if isinstance(entry.value, YamlMapping):
            for inner in _models(annotation):
                yield from _open_secrets(inner, entry.value, plain[name], values)
        elif _is_secret(annotation) and plain[name] and entry.value.at not in values.secrets:
            yield name, entry.key


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(argument) for argument in get_args(annotation))


class _Errors:
    def __init__(self, model: type[BaseModel], fields: YamlMapping, at: Position, owner: str, values: Values) -> None:
        self.model = model
        self.fields = fields
        self.at = at
        self.owner = owner
        self.values = values
        self.problems = values.problems

    def report(self, errors: Sequence[ErrorDetails]) -> None:
        """Report each error once: pydantic reports one for each member of a union, at the same place."""
        members: dict[Position, list[tuple[str, Tree, ErrorDetails]]] = {}
        for error in errors:
            if self.problems.full:
                return
            if error["type"] == "default_factory_not_called":
                continue  # a default that depends on other fields, of which one is wrong: that is reported
            path, key, tree = find(self.fields, self.at, error["loc"])
            if error["type"] == "missing":
                name = ".".join([*path, str(error["loc"][-1])])
                self._missing(name, key if path else self.at)
            elif error["type"] == "extra_forbidden":
                self._unknown(path, key)
            else:
                members.setdefault(tree.at if path else self.at, []).append((".".join(path), tree, error))
        for at, found in members.items():
            self._wrong(at, found)

    def _missing(self, name: str, at: Position) -> None:
        model = _nested(self.model, name.split(".")[:-1])
        about = (model.model_fields[name.split(".")[-1]].description or "") if model else ""
        help = f"{name}: {about.splitlines()[0]}" if about else ""
        self.problems.add("missing-field", f'{self.owner} needs "{name}"', at, help)

    def _unknown(self, path: list[str], at: Position) -> None:
        model = _nested(self.model, path[:-1])
        known = list(model.model_fields) if model else []
        otherwise = f"it has {listed(known)}" if known else "it has no fields"
        self.problems.add(
            "unknown-field", f'{self.owner} has no field "{path[-1]}"', at, did_you_mean(path[-1], known, otherwise)
        )

    def _wrong(self, at: Position, found: list[tuple[str, Tree, ErrorDetails]]) -> None:
        name, tree, first = found[0]
        secrets = dict(self._secrets(tree))
        texts = dict.fromkeys(self._text(name, error) for _, _, error in found)
        may_quote = any(error["type"] not in _DISCREET for _, _, error in found)
        quoted = any(secret in text for secret in secrets.values() for text in texts)
        if secrets and (quoted or (may_quote and name)):
            texts = {f"cannot be what {listed(f'${{{variable}}}' for variable in secrets)} holds": None}
        unit = first["type"] == "unit_missing"
        message = " or ".join(texts)
        if name:
            message = f"{name} {message}" if re.match("should|needs|cannot", message) else f"{name}: {message}"
        self.problems.add("unit-missing" if unit else "bad-value", f"{self.owner}: {message}", at, _help(tree, first))

    def _text(self, name: str, error: ErrorDetails) -> str:
        """Pydantic's text, shortened; a bound of a quantity gets its unit, as a graph would write it."""
        text = re.sub(r"^(Value error|Assertion failed), |^Input ", "", error["msg"])
        text = re.sub(r"a valid (tuple|list)$", "a list", text.partition(", unable to parse")[0])
        *outer, last = name.split(".")
        model = _nested(self.model, outer)
        quantity = quantity_of(model.model_fields[last]) if model and last in model.model_fields else None
        bounds = [error.get("ctx", {})[key] for key in ("ge", "gt", "le", "lt") if key in error.get("ctx", {})]
        if quantity and bounds:
            text = re.sub(r"\S+$", str(quantity(bounds[0])), text)
        return text

    def _secrets(self, tree: Tree) -> Iterator[tuple[str, str]]:
        if isinstance(tree, Scalar):
            yield from self.values.secrets.get(tree.at, {}).items()
        elif isinstance(tree, YamlList):
            for item in tree.items:
                yield from self._secrets(item)
        elif isinstance(tree, YamlMapping):
            for entry in tree.entries.values():
                yield from self._secrets(entry.value)


def _help(tree: Tree, error: ErrorDetails) -> str:
    if not isinstance(tree, Scalar):
        return ""
    if error["type"] in ("tuple_type", "list_type"):
        return "a list stands in brackets, also when it has one item"
    if error["type"] == "string_type" and tree.plain:
        return f'in quotes it is text: "{tree.text}"'
    if error["type"] in ("literal_error", "enum"):
        return did_you_mean(tree.text, re.findall(r"'([^']*)'", error["msg"]))
    return ""


def _nested(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    """The model that holds the fields at ``path``; None when it is no model."""
    for name in path:
        info = model.model_fields.get(name)
        if info is None:
            continue  # a name in a mapping, or a place in a list, of such models
        inner = next(_models(info.annotation), None)
        if inner is None:
            return None
        model = inner
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
