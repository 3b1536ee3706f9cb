"""``flowcore schema``: write the JSON Schema with which editors complete and check graphs."""

from __future__ import annotations

import json

from flowcore.cli.options import Imports, Output, write_result
from flowcore.graph.schema import schema as schema_of
from flowcore.registry import available, from_file, load_all


def schema(output: Output = None, imports: Imports = None) -> None:
    """Write the JSON Schema of graph files, with all installed nodes.

    An editor with a YAML language server uses the schema in graphs with this line:

    # yaml-language-server: $schema=FILE
    """
    entries = {entry.name: entry for path in imports or [] for entry in from_file(path.resolve())}
    classes, _ = load_all({**available(), **entries})  # `flowcore nodes` names those that cannot be loaded
    write_result(json.dumps(schema_of(classes), indent=2, ensure_ascii=False) + "\n", output)
