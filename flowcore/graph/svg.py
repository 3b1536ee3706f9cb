"""A picture of a plan as the text of an SVG file."""

from __future__ import annotations

from html import escape

from flowcore.graph.drawing import NAME, SMALL, Label, Rect, Shape, draw
from flowcore.graph.explain import Explanation

DEFINITIONS = f"""<style>
text {{ font-family: 'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif; text-anchor: middle; fill: #1e293b }}
.name {{ font-size: {NAME}px; font-weight: bold }} .small {{ font-size: {SMALL}px }} .dim {{ fill: #64748b }}
.left {{ text-anchor: start }} .label {{ fill: #f8fafc }}
.chain {{ fill: #f8fafc; stroke: #94a3b8 }} .node {{ fill: #ffffff; stroke: #475569 }}
.source {{ fill: #dbeafe }} .sink {{ fill: #dcfce7 }} .inserted {{ stroke-dasharray: 4 3 }}
.queue {{ fill: #fde68a; stroke: #b45309 }} .wire {{ fill: none; stroke: #475569; stroke-width: 1.4 }}
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#475569"/></marker></defs>
<rect width="100%" height="100%" fill="#ffffff"/>"""


def svg(explained: Explanation) -> str:
    """The whole picture, as the text of a file."""
    drawing = draw(explained)
    size = f'width="{drawing.width:.0f}" height="{drawing.height:.0f}"'
    box = f'viewBox="0 0 {drawing.width:.0f} {drawing.height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box}>\n<title>{escape(drawing.title)}</title>'
    return "\n".join([head, DEFINITIONS, *map(_element, drawing.shapes), "</svg>", ""])


def _element(shape: Shape) -> str:
    if isinstance(shape, Label):
        return f'<text class="{shape.kind}" x="{shape.x:.1f}" y="{shape.y:.1f}">{escape(shape.text)}</text>'
    if isinstance(shape, Rect):
        size = f'width="{shape.width:.1f}" height="{shape.height:.1f}" rx="{shape.radius}"'
        return f'<rect class="{shape.kind}" x="{shape.x:.1f}" y="{shape.y:.1f}" {size}/>'
    arrow = ' marker-end="url(#arrow)"' if shape.arrow else ""
    return f'<path class="{shape.kind}" d="{shape.path}"{arrow}/>'
