"""Amounts over time, and points by decade: as coarse as they have to be to stay within a bound.

Where a bound is reached, two neighbours become one, so nothing is dropped, and nothing is random: the same
records in the same order give the same numbers, however many there are.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
MAX_BINS = 240
"""About what a chart shows: one bin in four pixels or so."""
FIRST_WIDTH_S = 0.01
MAX_CELLS = 1_500
FIRST_CELLS_PER_DECADE = 32
QUANTILE_STEPS = 100
"""Buckets a decade: a quantile is at most 2.4 % too high."""


class Timeline:
    """Rows of amounts over time, in at most `MAX_BINS` bins of one width for all rows."""

    def __init__(self, *names: str) -> None:
        self.width_s = FIRST_WIDTH_S
        self.rows: dict[str, list[float]] = {name: [] for name in names}

    def __len__(self) -> int:
        return max(map(len, self.rows.values()), default=0)

    def add(self, name: str, amount: float, start_s: float, end_s: float) -> None:
        """Spreads `amount` evenly over a time."""
        start_s = max(0.0, start_s)
        end_s = max(start_s, end_s)
        while end_s >= MAX_BINS * self.width_s:
            self._halve()
        row, width_s = self.rows[name], self.width_s
        first = int(start_s / width_s)
        last = max(first, math.ceil(end_s / width_s) - 1)  # a bin that it only touches is not its
        if last >= len(row):
            row.extend([0.0] * (last + 1 - len(row)))
        if first == last:
            row[first] += amount
            return
        per_s = amount / (end_s - start_s)
        row[first] += per_s * ((first + 1) * width_s - start_s)
        for number in range(first + 1, last):
            row[number] += per_s * width_s
        row[last] += per_s * (end_s - last * width_s)

    def _halve(self) -> None:
        self.width_s *= 2.0
        for name, row in self.rows.items():
            pairs = zip(row[::2], [*row[1::2], 0.0], strict=False)
            self.rows[name] = [first + second for first, second in pairs]


class Dot(msgspec.Struct, gc=False):
    """Points so near to each other that they look like one: where the first was, and how many."""

    x: float
    y: float
    count: int = 1


class Scatter:
    """Points on two logarithmic axes, in at most `MAX_CELLS` dots."""

    def __init__(self) -> None:
        self._per_decade = float(FIRST_CELLS_PER_DECADE)
        self._cells: dict[tuple[int, int], Dot] = {}

    @property
    def dots(self) -> list[Dot]:
        return list(self._cells.values())

    def add(self, x: float, y: float) -> None:
        """Both have to be above 0."""
        cell = self._cell(x, y)
        dot = self._cells.get(cell)
        if dot is not None:
            dot.count += 1
            return
        self._cells[cell] = Dot(x, y)
        while len(self._cells) > MAX_CELLS:
            self._merge()

    def _cell(self, x: float, y: float) -> tuple[int, int]:
        return math.floor(math.log10(x) * self._per_decade), math.floor(math.log10(y) * self._per_decade)

    def _merge(self) -> None:
        self._per_decade /= 2.0
        dots, self._cells = self._cells.values(), {}
        for dot in dots:
            there = self._cells.setdefault(self._cell(dot.x, dot.y), dot)
            if there is not dot:
                there.count += dot.count


class Quantiles:
    """How amounts above 0 are distributed."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._count = 0

    def add(self, value: float) -> None:
        step = math.ceil(math.log10(max(value, 1e-9)) * QUANTILE_STEPS)
        self._counts[step] = self._counts.get(step, 0) + 1
        self._count += 1

    def __bool__(self) -> bool:
        return self._count > 0

    def at(self, share: float) -> float:
        """What `share` of all are not above, as far as can be told; 0.0 of none."""
        left = share * self._count
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 1e-9:
                return math.pow(10.0, step / QUANTILE_STEPS)
        return 0.0


class Course(Generic[T]):
    """What was so from some moment on, in at most `most` entries: then every other goes, and from then on
    as many of those that come."""

    def __init__(self, most: int) -> None:
        self.entries: list[T] = []
        self._most = most
        self._every = 1
        self._count = 0

    def add(self, entry: T) -> None:
        if self._count % self._every == 0:
            self.entries.append(entry)
            if len(self.entries) >= self._most:
                del self.entries[1::2]
                self._every *= 2
        self._count += 1
