"""A package as text and trees, and how many of its lines are what."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


FunctionDef = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """`name`: dotted, a package's without its `__init__`.  `package`: whether it is a folder's `__init__`."""

    name: str
    text: str
    tree: ast.Module
    package: bool = False


def read(root: Path) -> list[Module]:
    """Every module of the package whose folder is `root`."""
    return list(_modules(root))


def _modules(root: Path) -> Iterator[Module]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        package = parts[-1] == "__init__"
        yield parsed(
            ".".join(parts[:-1] if package else parts), path.read_text(encoding="utf-8"), package=package
        )


def parsed(name: str, text: str, *, package: bool = False) -> Module:
    return Module(name, text, ast.parse(text), package)


@cache
def walked(node: ast.AST) -> list[ast.AST]:
    """All nodes in `node`, itself included, in no order to rely on. Kept, since every figure wants it."""
    found = own(node)
    for function in functions(node):
        found = found + walked(function)[1:]  # itself is there already
    return found


@cache
def own(node: ast.AST) -> list[ast.AST]:
    """`node` and what is in it, but for what is in a function inside of it."""
    found = [node]
    for inner in found:  # which grows
        if inner is not node and isinstance(inner, FunctionDef):
            continue
        for field in inner._fields:
            value = getattr(inner, field, None)
            if isinstance(value, list):
                found += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and field != "ctx":  # of these there are as many as names
                found.append(value)
    return found


def functions(node: ast.AST) -> list[FunctionDef]:
    """The functions in `node`, but for those in others of them."""
    return [inner for inner in own(node)[1:] if isinstance(inner, FunctionDef)]


class Lines(NamedTuple):
    """`code` has neither blank lines, nor comments on a line of their own, nor docstrings."""

    all: int
    code: int
    comments: int

    @property
    def comments_per_100(self) -> float:
        return 100 * self.comments / self.code if self.code else 0.0


def lines(modules: Iterable[Module]) -> Lines:
    counted = [_lines(module) for module in modules]
    return Lines(*(sum(column) for column in zip(*counted, strict=True))) if counted else Lines(0, 0, 0)


def _lines(module: Module) -> Lines:
    docstrings: set[int] = set()
    inside: set[int] = set()  # of a string: what looks like a comment there is none
    for node in walked(module.tree):
        if isinstance(node, ast.Expr) and _is_text(node.value):
            docstrings.update(range(node.lineno, (node.end_lineno or 0) + 1))
        elif isinstance(node, ast.JoinedStr) or _is_text(node):
            inside.update(range(node.lineno + 1, (node.end_lineno or 0) + 1))  # type: ignore[attr-defined]
    texts = module.text.splitlines()
    rest = [(number, text.strip()) for number, text in enumerate(texts, 1) if number not in docstrings]
    comments = sum(text.startswith("#") and number not in inside for number, text in rest)
    return Lines(len(texts), sum(bool(text) for _, text in rest) - comments, comments)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
