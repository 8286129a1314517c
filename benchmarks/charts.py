"""Two kinds of charts as SVG text: horizontal bars, and lines over a logarithmic axis.

They bring their own background and follow the reader's preference for light or dark.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

STYLE = """
svg { font: 13px system-ui, sans-serif; background: #ffffff }
.page { fill: #ffffff } text { fill: #1f2328 } .small { font-size: 11px; fill: #59636e }
.title { font-size: 15px; font-weight: 600 } .end { text-anchor: end } .middle { text-anchor: middle }
.ours { fill: #0969da } .peer { fill: #afb8c1 } .spread, .axis { stroke: #59636e } .grid { stroke: #d1d9e0 }
polyline { stroke-width: 2 } polyline.ours { fill: none; stroke: #0969da } polyline.peer { fill: none; stroke: #afb8c1 }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 }
  .page { fill: #0d1117 } text { fill: #f0f6fc } .small { fill: #9198a1 }
  .ours { fill: #4493f8 } .peer { fill: #57606a } .spread, .axis { stroke: #9198a1 } .grid { stroke: #3d444d }
  polyline.ours { stroke: #4493f8 } polyline.peer { stroke: #57606a }
}"""
MARGIN, TITLE_HEIGHT = 16, 44
LABEL_WIDTH, BAR_WIDTH, TEXT_WIDTH, ROW_HEIGHT, BAR_HEIGHT = 190, 190, 80, 26, 16
LINE_WIDTH, LINE_HEIGHT, AXIS_WIDTH, LINE_LABEL_WIDTH = 560, 240, 60, 60


@dataclass(frozen=True)
class Bar:
    """A median, the lowest and the highest value, and how the median is written."""

    value: float
    lowest: float
    highest: float
    text: str


@dataclass(frozen=True)
class Row:
    """One bar for each panel; what is ours stands out."""

    label: str
    bars: Sequence[Bar]
    ours: bool


@dataclass(frozen=True)
class Point:
    """One measurement of a line chart, and how its value is written."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """Points in the order of x; what is ours stands out."""

    label: str
    points: Sequence[Point]
    ours: bool


def bar_chart(title: str, heads: Sequence[str], rows: Sequence[Row]) -> str:
    """Rows of bars side by side, in panels with a scale of their own; a thin line is the spread."""
    panel_width = BAR_WIDTH + TEXT_WIDTH
    width = 2 * MARGIN + LABEL_WIDTH + panel_width * len(heads)
    height = TITLE_HEIGHT + ROW_HEIGHT * (len(rows) + 1) + MARGIN
    parts = []
    for panel, head in enumerate(heads):
        left = MARGIN + LABEL_WIDTH + panel * panel_width
        parts.append(_text(left, TITLE_HEIGHT + 14, head, "small"))
        largest = max((row.bars[panel].highest for row in rows), default=0) or 1
        for index, row in enumerate(rows):
            top = TITLE_HEIGHT + ROW_HEIGHT * (index + 1)
            parts += _bar(row.bars[panel], left, top, BAR_WIDTH / largest, "ours" if row.ours else "peer")
    labels = [
        _text(MARGIN + LABEL_WIDTH - 10, TITLE_HEIGHT + ROW_HEIGHT * (index + 1) + 13, row.label, "end")
        for index, row in enumerate(rows)
    ]
    described = (f"{row.label}: {', '.join(bar.text for bar in row.bars)}" for row in rows)
    return _svg(title, f"{', '.join(heads)}. {'; '.join(described)}.", width, height, [*labels, *parts])


def line_chart(title: str, x_head: str, y_head: str, lines: Sequence[Line]) -> str:
    """Lines over a logarithmic x; y begins at 0. All have points at the same places of x."""
    left, top = MARGIN + AXIS_WIDTH, TITLE_HEIGHT + 24
    bottom, right = top + LINE_HEIGHT, left + LINE_WIDTH
    highest = _round_up(max(point.y for line in lines for point in line.points))
    along = _logarithmic([point.x for point in lines[0].points], left + 40, right - 40)
    parts = [_text(MARGIN, TITLE_HEIGHT + 6, y_head, "small")]
    for quarter in range(5):
        y = bottom - LINE_HEIGHT * quarter / 4
        parts.append(_line(left, y, right, y, "grid" if quarter else "axis"))
        parts.append(_text(left - 8, y + 4, f"{highest * quarter / 4:,.10g}", "small end"))
    for x, place in along.items():
        parts.append(_text(place, bottom + 18, f"{x:,.0f}", "small middle"))
    parts.append(_text((left + right) / 2, bottom + 38, x_head, "small middle"))
    for line in lines:
        places = [(along[point.x], bottom - LINE_HEIGHT * point.y / highest) for point in line.points]
        parts += _polyline(line, places)
        parts.append(_text(right - 30, places[-1][1] + 4, line.label, ""))
    described = (
        f"{line.label}: {', '.join(f'{p.text} at {p.x:,.0f}' for p in line.points)}" for line in lines
    )
    description = f"{y_head} over {x_head}. {'; '.join(described)}."
    return _svg(title, description, right + MARGIN + LINE_LABEL_WIDTH, bottom + 50, parts)


def _logarithmic(values: Sequence[float], left: float, right: float) -> dict[float, float]:
    """Where each of these, which ascend, is between left and right."""
    first, last = math.log10(values[0]), math.log10(values[-1])
    per_decade = (right - left) / (last - first) if last > first else 0
    return {value: left + (math.log10(value) - first) * per_decade for value in values}


def _polyline(line: Line, places: Sequence[tuple[float, float]]) -> list[str]:
    kind = "ours" if line.ours else "peer"
    parts = [f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>']
    for point, (x, y) in zip(line.points, places, strict=True):
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        parts.append(_text(x, y + (18 if line.ours else -10), point.text, "small middle"))
    return parts


def _bar(bar: Bar, left: float, top: float, per_unit: float, kind: str) -> list[str]:
    middle = top + BAR_HEIGHT / 2
    end = left + bar.highest * per_unit
    return [
        f'<rect class="{kind}" x="{left}" y="{top}" width="{bar.value * per_unit:.1f}" height="{BAR_HEIGHT}"/>',
        _line(left + bar.lowest * per_unit, middle, end, middle, "spread"),
        _text(end + 6, top + 13, bar.text, "small"),
    ]


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 8 or 10 times a power of ten, or 1 for nothing."""
    if value <= 0:
        return 1
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(title: str, description: str, width: float, height: float, parts: Iterable[str]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{STYLE}\n</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        _text(MARGIN, 26, title, "title"),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
