"""Converts trees to plain values: the meaning of unquoted words, and the values of ``${NAME}``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowcore.diagnostics import Position, did_you_mean
from flowcore.graph.problems import Problems
from flowcore.graph.source import Invalid, Scalar, Tree, YamlList, YamlMapping

# YAML 1.2's core schema without its octal and hexadecimal numbers and without .inf and .nan: those stay text, as do
# all surprises of YAML 1.1 (`no`, `010`, `12:30:45`, dates), so that a text field gets them as written.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,3})?")
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}

_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>[^}]*))?\}|\$\{")


@dataclass
class Values:
    """Converts trees to values, and keeps those of environment variables: messages must not show them."""

    environ: Mapping[str, str]
    problems: Problems
    secrets: dict[Position, dict[str, str]] = field(default_factory=dict)
    """For the position of a value: the variables in it with their values."""

    def held(self) -> frozenset[str]:
        """Values that came from the environment."""
        return frozenset(value for variables in self.secrets.values() for value in variables.values())

    def of(self, tree: Tree) -> Any:
        """The value of a tree that holds no `Invalid`."""
        if isinstance(tree, Scalar):
            return self._scalar(tree)
        if isinstance(tree, YamlList):
            return [self.of(item) for item in tree.items]
        if isinstance(tree, YamlMapping):
            return {key: self.of(entry.value) for key, entry in tree.entries.items()}
        raise TypeError("an invalid value has no meaning: ask is_valid() first")

    def _scalar(self, scalar: Scalar) -> Any:
        used: dict[str, str] = {}
        text = _VARIABLE.sub(lambda match: self._variable(match, scalar, used), scalar.text)
        if used:
            self.secrets[scalar.at] = used
        return plain(text) if scalar.plain and (text or not used) else text

    def _variable(self, match: re.Match[str], scalar: Scalar, used: dict[str, str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            message = "${ begins the name of an environment variable"
            help = "write ${NAME} or ${NAME:-default}; $${ is the text ${"
            self.problems.add("bad-variable", message, self.inside(scalar.at, match[0]), help)
            return ""
        # As in a shell, the default also stands for an empty variable.
        value = self.environ.get(name, "")
        if name not in self.environ and default is None:
            advice = f"set it or, if it is no secret, give a default: ${{{name}:-default}}"
            help = did_you_mean(name, self.environ, advice)
            at = self.inside(scalar.at, match[0])
            self.problems.add("missing-variable", f"the environment has no {name}", at, help)
        if value:
            used[name] = value
        return value or default or ""

    def inside(self, at: Position, written: str) -> Position:
        """The place of ``written`` in the scalar at ``at``; the scalar's own when escapes or line breaks hide it."""
        line = at.argument or self.problems.line(at)
        found = line.find(written, at.column - 1, at.column - 1 + at.length)
        return at if found < 0 else replace(at, column=found + 1, length=len(written))


def plain(text: str) -> Any:
    """The meaning of an unquoted scalar: an int, a float, true, false or null, or else its text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def is_valid(tree: Tree) -> bool:
    """Whether a tree holds no `Invalid`."""
    if isinstance(tree, YamlList):
        return all(is_valid(item) for item in tree.items)
    if isinstance(tree, YamlMapping):
        return all(is_valid(entry.value) for entry in tree.entries.values())
    return not isinstance(tree, Invalid)
