"""Pictures of a plan in Mermaid and in Graphviz' dot, and what all pictures share; `svg` is the third language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowcore.graph.explain import Border, Chain, Explanation, Step


@dataclass(frozen=True)
class Wire:
    """A wire from an output of a step to a step; ``queued`` where a border stands between them."""

    source: str
    port: str
    target: str
    form: str
    queued: bool

    @property
    def label(self) -> str:
        """The text at the wire."""
        return f".{self.port}: {self.form}" if self.port else self.form


def wires(explained: Explanation) -> Iterator[Wire]:
    """Wires in the order of the plan."""
    outputs = {
        f"{step.name}.{port}" if port else step.name: (step.name, port, form)
        for chain in explained.chains
        for step in chain.nodes
        for port, form in step.gives.items()
    }
    for chain in explained.chains:
        for number, step in enumerate(chain.nodes):
            for source in step.inputs:
                name, port, form = outputs[source]
                yield Wire(name, port, step.name, form, queued=number == 0)


def bound(chain: Chain) -> str:
    """The bound of the border before ``chain``, and what it does when full."""
    border = chain.border
    assert isinstance(border, Border)  # noqa: S101  # callers check that there is one
    much = f"{border.chunks} texts" if chain.nodes[0].caps.startswith("text") else border.max
    return f"{much}, {border.on_full}"


def mermaid(explained: Explanation) -> str:
    """The picture for a page of Markdown: GitHub and others draw it."""
    ids = _ids(explained)
    lines = ["flowchart TD"]
    for number, chain in enumerate(explained.chains):
        lines.append(f'  subgraph chain{number}["{chain.runs}"]')
        if chain.border:
            lines.append(f'    queue{number}[["{bound(chain)}"]]:::queue')
            lines.append(f"    queue{number} --> {ids[chain.nodes[0].name]}")
        for step in chain.nodes:
            style = ":::inserted" if step.inserted else ""
            lines.append(f'    {ids[step.name]}["{_title(step, "<br>")}"]{style}')
        lines.append("  end")
    heads = _heads(explained)
    for wire in wires(explained):
        target = heads[wire.target] if wire.queued else ids[wire.target]
        lines.append(f'  {ids[wire.source]} {"==>" if wire.queued else "-->"}|"{wire.label}"| {target}')
    lines += ["  classDef queue fill:#fde68a,stroke:#b45309", "  classDef inserted stroke-dasharray: 4 3", ""]
    return "\n".join(lines)


def dot(explained: Explanation) -> str:
    """The picture for Graphviz: dot -Tsvg."""
    lines = ["digraph {", "  node [shape=box, style=rounded, fontname=sans]", "  edge [fontname=sans, fontsize=10]"]
    for number, chain in enumerate(explained.chains):
        lines += [f"  subgraph cluster_{number} {{", f'    label="{chain.runs}"; fontname=sans; color=gray']
        if chain.border:
            lines.append(f'    queue{number} [label="{bound(chain)}", shape=box, style=filled, fillcolor="#fde68a"]')
            lines.append(f"    queue{number} -> {_quoted(chain.nodes[0].name)}")
        for step in chain.nodes:
            style = ', style="rounded,dashed"' if step.inserted else ""
            lines.append(f'    {_quoted(step.name)} [label="{_title(step, chr(92) + "n")}"{style}]')
        lines.append("  }")
    heads = _heads(explained)
    for wire in wires(explained):
        target = heads[wire.target] if wire.queued else _quoted(wire.target)
        lines.append(f'  {_quoted(wire.source)} -> {target} [label="{wire.label}"]')
    return "\n".join([*lines, "}", ""])


def _ids(explained: Explanation) -> dict[str, str]:
    """Names that Mermaid accepts: `end` is one of its words, and names of converters contain a ~."""
    steps = [step.name for chain in explained.chains for step in chain.nodes]
    return {name: f"node{number}" for number, name in enumerate(steps)}


def _title(step: Step, newline: str) -> str:
    return f"{step.name}{newline}{step.use}{' (put in)' * step.inserted}"


def _heads(explained: Explanation) -> dict[str, str]:
    """The names of the queues, by the node behind each."""
    return {chain.nodes[0].name: f"queue{number}" for number, chain in enumerate(explained.chains) if chain.border}


def _quoted(name: str) -> str:
    return f'"{name}"'
