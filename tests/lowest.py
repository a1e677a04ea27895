"""Whether the lowest versions are installed that pyproject.toml allows: `make test-lowest` asks first.

    python -m tests.lowest

A bound that something else forbids is untrue, and nothing would be tested with it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
GROUPS = ("test",)
"""Those that are needed here: the others are tools of ours."""
_BOUND = re.compile(r"([\w-]+)(?:\[[^]]*\])?>=([\d.]+)")


def bounds(project: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and lowest versions of all that the library, its extras and its tests need."""
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"]
    lists = [project["project"]["dependencies"], *extras.values(), *(groups[name] for name in GROUPS)]
    for requirement in (each for needs in lists for each in needs):
        found = _BOUND.match(requirement)
        assert found is not None, f"{requirement}: has no lower bound"
        yield found[1], found[2]


def untrue(project: Mapping[str, Any], installed: Callable[[str], str]) -> list[str]:
    """A line for each that is installed in another version than the lowest."""
    lines = []
    for name, lowest in dict.fromkeys(bounds(project)):
        try:
            there = installed(name)
        except PackageNotFoundError:
            there = "nothing"
        if _release(there) != _release(lowest):
            lines.append(f"{name}>={lowest}: {there} is installed")
    return lines


def _release(text: str) -> list[str]:
    return re.sub(r"(\.0)+$", "", text).split(".")


def main() -> int:
    project = tomllib.loads(PROJECT.read_text())
    lines = untrue(project, version)
    print("\n".join(lines) or f"the lowest versions of {len(set(bounds(project)))} packages are installed")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
