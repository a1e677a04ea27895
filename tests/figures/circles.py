"""Imports between modules: who imports whom, and the circles in that, types and late imports included."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.figures.source import walked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.figures.source import Module


def imports(modules: Sequence[Module]) -> dict[str, set[str]]:
    """The modules that each imports of the others.  A folder that a dotted name leads through does not count:
    its `__init__` runs before the module, but need not know of it."""
    names = {module.name for module in modules}
    return {module.name: _imported(module.tree, names) - {module.name} for module in modules}


def _imported(tree: ast.Module, names: set[str]) -> set[str]:
    found: set[str] = set()
    for node in walked(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= members & names
            if members - names:
                found.add(node.module)
    return found & names


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules each of which leads to all others of its group, by name."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in graph
        if name in reached[name]
    }
    return sorted(list(group) for group in groups)


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    pending = list(graph[start])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(graph[name])
    return found
