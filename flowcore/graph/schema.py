"""JSON Schema of graph files, for editors: made from the nodes, so that editors complete and check their fields.

The schema covers single places of a file: keys, types, units, choices. Names in ``from``, formats and the like are for
`flowcore check`. The draft is 07, which every editor's language server reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowcore.graph.graph_file import PARAMETER_KEYS, VERSION
from flowcore.graph.imports import NAME
from flowcore.graph.model import OnError, QueueConfig
from flowcore.graph.node_parser import KEYS
from flowcore.graph.subgraphs import USE_KEYS
from flowcore.listener import Listener
from flowcore.node import Config, Node
from flowcore.reference import reference

Schema = dict[str, Any]

PORT = rf"^{NAME.pattern}(\.{NAME.pattern})?$"
SUBGRAPH = r"/|\.ya?ml$"
PLACEHOLDER: Schema = {"type": "string", "pattern": r"\$\{|^\$[a-z]"}
"""A value of the environment (``${NAME}``) or a sub-graph's parameter (``$name``): only loading shows its value."""


def schema(nodes: Iterable[type[Node]]) -> Schema:
    """The schema for graphs that use ``nodes``."""
    known = sorted(nodes, key=lambda cls: cls.name)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "flowcore graph",
        "type": "object",
        "required": ["flowcore", "nodes"],
        "additionalProperties": False,
        "properties": {
            "flowcore": {"const": int(VERSION), "description": "The version of the format."},
            "description": {"type": "string", "description": "What the graph is for."},
            "import": _list({"type": "string", "pattern": r"\.py$"}, "Python files beside the graph with own nodes."),
            "nodes": {
                "type": "object",
                "description": "The steps of the graph, by names of your own.",
                "minProperties": 1,
                "propertyNames": {"pattern": f"^{NAME.pattern}$"},
                "additionalProperties": _node(known),
            },
            "parameters": _named(
                {"type": ["object", "null"], "propertyNames": {"enum": list(PARAMETER_KEYS)}},
                "Of a sub-graph: what its user may set; $name stands for the value.",
            ),
            "input": {"type": "string", "pattern": f"^{NAME.pattern}$", "description": "Of a sub-graph: its input."},
            "outputs": _named({"type": "string", "pattern": PORT}, "Of a sub-graph: what comes out of it, by port."),
        },
        # The types of a graph that imports files are unknown here.
        "if": {"not": {"required": ["import"]}},
        "then": {"properties": {"nodes": {"additionalProperties": {"properties": {"use": _use(known)}}}}},
    }  # fmt: skip


def _use(nodes: list[type[Node]]) -> Schema:
    known = {"enum": [cls.name for cls in nodes], "markdownEnumDescriptions": [reference(cls).purpose for cls in nodes]}
    return {"anyOf": [known, {"type": "string", "pattern": SUBGRAPH}]}


def _node(nodes: list[type[Node]]) -> Schema:
    port = {"type": "string", "pattern": PORT}
    return {
        "type": "object",
        "required": ["use"],
        "additionalProperties": False,
        "properties": {
            "use": {"type": "string", "description": "The type of the node.", "anyOf": [*_use(nodes)["anyOf"], True]},
            "from": {
                "description": "The node before this one, or several; one of its outputs is written node.port.",
                "anyOf": [port, _list(port, "") | {"minItems": 1, "uniqueItems": True}],
            },
            "with": {"type": ["object", "null"], "description": "The node's config."},
            "queue": _config(QueueConfig) | {"description": "The queue before the node: how long, and then what."},
            "on_error": {"enum": list(OnError.__args__), "description": "What happens when the node fails."},  # type: ignore[attr-defined]
        },
        "allOf": [_of_type(cls) for cls in nodes] + [_of_subgraph()],
    }


def _of_type(cls: type[Node]) -> Schema:
    """The rules for a node whose ``use`` names this type."""
    config = _config(cls.Config)
    listens = issubclass(cls, Listener)
    then: Schema = {"properties": {"with": config} | ({"from": False, "queue": False} if listens else {})}
    required = [] if listens else ["from"]
    if config.get("required"):
        required.append("with")
        config["type"] = "object"
    if required:
        then["required"] = required
    about = reference(cls)
    attributes = [f"- `{name}`: {meaning}" for name, meaning in about.attributes.items()]
    config["description"] = "\n".join([about.text, *["\nAttributes, for paths:", *attributes] * bool(attributes)])
    return {"if": {"required": ["use"], "properties": {"use": {"const": cls.name}}}, "then": then}


def _of_subgraph() -> Schema:
    no = dict.fromkeys(set(KEYS) - set(USE_KEYS), False)
    then = {"required": ["from"], "properties": dict(sorted(no.items()))}
    return {"if": {"required": ["use"], "properties": {"use": {"pattern": SUBGRAPH}}}, "then": then}


def _config(model: type[Config] | type[QueueConfig]) -> Schema:
    """The schema of a model's fields, from pydantic's."""
    raw = model.model_json_schema()
    inlined: Schema = _inlined(raw, raw.pop("$defs", {}))
    fields = {name: _open(field) for name, field in inlined.get("properties", {}).items()}
    found: Schema = {"type": ["object", "null"], "additionalProperties": False, "properties": fields}
    if inlined.get("required"):
        found["required"] = inlined["required"]
    return found


def _inlined(raw: Any, definitions: Mapping[str, Schema]) -> Any:
    """The schema without references, beside which draft 07 ignores keys, and without titles, which repeat names."""
    if isinstance(raw, list):
        return [_inlined(one, definitions) for one in raw]
    if not isinstance(raw, dict):
        return raw
    merged = {key: value for key, value in raw.items() if key != "$ref"}
    if "$ref" in raw:
        merged = definitions[raw["$ref"].rpartition("/")[2]] | merged
    return {
        key: {name: _inlined(field, definitions) for name, field in value.items()}
        if key == "properties"
        else _inlined(value, definitions)
        for key, value in merged.items()
        if key != "title"
    }


def _open(field: Schema) -> Schema:
    """A field that may also hold a placeholder. Bounds of a quantity do not apply to its text."""
    if field.get("type") == "object" and "properties" in field:
        return field | {"properties": {name: _open(inner) for name, inner in field["properties"].items()}}
    about = {key: field.pop(key) for key in ("description", "default", "examples") if key in field}
    about["description"] = about.get("description", "").replace("``", "`")
    if field.get("type") == "string":
        for bound in ("ge", "le", "gt", "lt"):  # pydantic's words for what it finds no keyword for
            field.pop(bound, None)
        if field == {"type": "string"}:
            return about | field
        if "pattern" in field and "examples" in about:
            # One type with its own message: for `window: 120`, `expected "string"` would not help.
            message = f"needs a unit: write for example {about['examples'][0]}"
            pattern = f"{field['pattern']}|{PLACEHOLDER['pattern']}"
            return about | field | {"pattern": pattern, "errorMessage": message, "patternErrorMessage": message}
    return about | {"anyOf": [field, PLACEHOLDER]}


def _list(items: Schema, description: str) -> Schema:
    found: Schema = {"type": "array", "items": items}
    return found | {"description": description} if description else found


def _named(values: Schema, description: str) -> Schema:
    names = {"pattern": f"^{NAME.pattern}$"}
    return {"type": "object", "description": description, "propertyNames": names, "additionalProperties": values}
