"""`python -m tests.figures`: the figures of the house beside what they should be. It judges nothing."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.arrows import imported_in, wrong_names
from tests.figures.circles import circles, imports
from tests.figures.classes import attributes, calling_setters, crowded_protocols, frozen, percentile
from tests.figures.source import Module, lines, read, walked
from tests.figures.writers import several_writers

if TYPE_CHECKING:
    from collections.abc import Sequence

SRC = Path(__file__).parents[2] / "src" / "s3_upload"
PACKAGE = SRC.name
MOST_ATTRIBUTES = 16
USUAL_ATTRIBUTES = 10
LEAST_COMMENTS = 4
COMMENTED = ("transfer", "control")
MOST_METHODS = 6


class Row(NamedTuple):
    """One figure. `details`: what it counts, where that is worth a line each."""

    what: str
    figure: str
    target: str = ""
    details: Sequence[str] = ()


def rows(modules: Sequence[Module]) -> list[Row]:
    total = lines(modules)
    return [
        Row("lines", f"{total.all:,}"),
        Row("lines of code (not blank, comment or docstring)", f"{total.code:,}"),
        *_of_attributes(modules),
        *_of_comments(modules),
        *_of_writers(modules),
        _counted(
            "circles of imports", [" ↔ ".join(map(_short, circle)) for circle in circles(imports(modules))]
        ),
        _counted("arrows up", [text for module in modules for text in _arrows_up(module)]),
        _counted(
            f"Protocols of more than {MOST_METHODS} methods",
            [f"{_short(name)}: {n}" for name, n in crowded_protocols(modules, MOST_METHODS).items()],
        ),
        _counted("setters that call something", [_short(name) for name in calling_setters(modules)]),
    ]


def _of_attributes(modules: Sequence[Module]) -> list[Row]:
    """Of classes that can change, which are to be small, and of all.

    The targets are those of objects with state: whoever reads a method of one has to keep in mind what all
    its attributes may be.  A frozen record (options, a report, a tuning with a sentence for each constant)
    is a table: nothing in it changes, and users and documents know its rows by their names.  A TypedDict
    names the arguments of a call, and no object has them as its state.  Both are counted beside, so that a
    table shows that has become two.
    """
    counts = {_short(name): len(names) for name, names in attributes(modules).items()}
    fixed = set(map(_short, frozen(modules)))
    changing = {name: count for name, count in counts.items() if name not in fixed}
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    said = [f"{name}: {counts[name]}{' (frozen)' if name in fixed else ''}" for name in ranked]
    crowded = sum(count > MOST_ATTRIBUTES for count in counts.values())
    return [
        Row("attributes per changing class, 95th percentile", _usual(changing), f"≤ {USUAL_ATTRIBUTES}"),
        Row("attributes per changing class, most", _most(changing), f"≤ {MOST_ATTRIBUTES}"),
        Row("the same of all classes, frozen records included, 95th percentile", _usual(counts)),
        Row("the same of all classes, most", _most(counts), "", said[: max(crowded, 1)]),
    ]


def _usual(counts: dict[str, int]) -> str:
    return str(percentile(counts.values(), 95))


def _most(counts: dict[str, int]) -> str:
    return str(max(counts.values(), default=0))


def _of_comments(modules: Sequence[Module]) -> list[Row]:
    return [
        Row(
            f"comments on their own line per 100 of code, {room}/",
            f"{lines(_in_room(modules, room)).comments_per_100:.1f}",
            f"≥ {LEAST_COMMENTS}",
        )
        for room in COMMENTED
    ]


def _in_room(modules: Sequence[Module], room: str) -> list[Module]:
    return [module for module in modules if module.name.startswith(f"{PACKAGE}.{room}.")]


def _of_writers(modules: Sequence[Module]) -> list[Row]:
    details = [
        f"{_short(name)}: "
        + "; ".join(f"{_short(by)} ({', '.join(sorted(what))})" for by, what in by_module.items())
        for name, by_module in several_writers(modules).items()
    ]
    return [_counted("objects that several modules write", details)]


def _arrows_up(module: Module) -> list[str]:
    parts = module.name.split(".")
    unit = parts[1] if len(parts) > 1 else "__init__"
    names = list(imported_in(walked(module.tree)))
    return [f"{_short(module.name)}: {text}" for text in wrong_names(unit, names)]


def _counted(what: str, details: Sequence[str]) -> Row:
    return Row(what, str(len(details)), "0", details)


def _short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


def shown(found: Sequence[Row]) -> str:
    width = max(len(row.what) for row in found)
    texts: list[str] = []
    for row in found:
        texts.append(f"{row.what:{width}}  {row.figure:>7}  {row.target}".rstrip())
        texts += [f"    {detail}" for detail in row.details]
    return "\n".join(texts)


if __name__ == "__main__":
    gc.disable()  # the trees live until the end: the collector would go through them again and again
    print(shown(rows(read(SRC))))
