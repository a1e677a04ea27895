"""The pictures of docs/benchmarks.md, written as SVG by hand: bars of times, and one picture of all ratios.

They have no background and take the colours of a dark page where there is one.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from bench.figures import OURS, Line, RowData, lines, peers, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, LABEL, VALUE = 720, 120, 150
"""Of a picture; and of its columns of names and of figures, left and right."""
BAR, GAP = 16, 8
COLOURS = {
    "s5cmd": "#d1495b", "obstore": "#e08a1e", "awscrt": "#7b5ea7",
    "rclone": "#3a7d44", "aws s3 cp": "#b8860b", "boto3": "#8d6e63",
}  # fmt: skip
OTHER_COLOUR = "#888888"
STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600;font-size:13px}"
    ".e{text-anchor:end}"
    ".m{text-anchor:middle}.o{fill:#0b6e99}.p{fill:#b5b5b5}.l{stroke:#888;fill:none}.g{stroke:#8883}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.o{fill:#3aa6d8}.p{fill:#777}}</style>"
)


def bars(row: RowData) -> str:
    """The median time of each contender, with a line from its fastest to its slowest round."""
    shown = sorted((line for line in lines(row) if line.measured), key=lambda line: line.wall_s)
    room = WIDTH - LABEL - VALUE
    longest = max((max(line.walls_s) for line in shown), default=1.0)
    parts = [f'<text class="t" x="0" y="14">{escape(row["title"])}: seconds, shorter is better</text>']
    for number, line in enumerate(shown):
        parts += _bar(line, 26 + number * (BAR + GAP), room / longest)
    return _svg(26 + len(shown) * (BAR + GAP), parts, f"Seconds for {row['title']}")


def _bar(line: Line, top: int, per_s: float) -> list[str]:
    low, high = (LABEL + value * per_s for value in (min(line.walls_s), max(line.walls_s)))
    base, middle = top + BAR - 4, top + BAR / 2
    kind = "o" if line.name == OURS else "p"
    times = "" if not line.ratios else f"  ({line.ratio:.2f} x)"
    return [
        f'<text class="e" x="{LABEL - 8}" y="{base}">{escape(line.name)}</text>',
        f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{line.wall_s * per_s:.1f}" height="{BAR}"/>',
        f'<path class="l" d="M{low:.1f} {middle:.0f}H{high:.1f}"/>',
        f'<text x="{high + 8:.1f}" y="{base}">{seconds(line.wall_s)} s{times}</text>',
    ]


def overview(rows: Sequence[RowData]) -> str:
    """A line for each row, a dot for each peer at its ratio, on a logarithmic scale; right of 1 we win."""
    found = [(row, peers(row)) for row in rows]
    ratios = [line.ratio for _, others in found for line in others] or [1.0]
    low, high = min(0.5, *ratios) * 0.9, max(2.0, *ratios) * 1.1
    left, step = 280, BAR + GAP
    top, bottom = 66, 66 + len(found) * step

    def at(ratio: float) -> float:
        return left + (WIDTH - left - 20) * math.log(ratio / low) / math.log(high / low)

    parts = [
        '<text class="t" x="0" y="14">The time of others by that of s3-upload: right of 1 it is faster</text>'
    ]
    parts += _legend(sorted({line.name for _, others in found for line in others}, key=_rank))
    for tick in (one for one in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= one <= high):
        kind = "l" if tick == 1 else "g"
        parts.append(f'<path class="{kind}" d="M{at(tick):.1f} {top - 8}V{bottom}"/>')
        parts.append(f'<text class="m" x="{at(tick):.1f}" y="{top - 14}">{tick:g} x</text>')
    for number, (row, others) in enumerate(found):
        y = top + number * step + BAR // 2
        parts.append(f'<text class="e" x="{left - 12}" y="{y + 4}">{escape(row["title"])}</text>')
        parts += [
            f'<circle cx="{at(line.ratio):.1f}" cy="{y}" r="5" fill="{_colour(line.name)}">'
            f"<title>{escape(line.name)}: {line.ratio:.2f} x</title></circle>"
            for line in others
        ]
    return _svg(bottom + 4, parts, "Ratios of all rows")


def _legend(names: Sequence[str]) -> list[str]:
    return [
        f'<circle cx="{8 + number * 100}" cy="30" r="5" fill="{_colour(name)}"/>'
        f'<text x="{18 + number * 100}" y="34">{escape(name)}</text>'
        for number, name in enumerate(names)
    ]


def _rank(name: str) -> int:
    return list(COLOURS).index(name) if name in COLOURS else len(COLOURS)


def _colour(name: str) -> str:
    return COLOURS.get(name, OTHER_COLOUR)


def _svg(height: int, parts: Sequence[str], label: str) -> str:
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(label)}">'
    return "\n".join((head, STYLE, *parts, "</svg>")) + "\n"
