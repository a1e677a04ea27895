"""Classes: how many attributes an instance has, which Protocols ask for much, which setters do more than set.

An attribute is a field of a Struct, NamedTuple, TypedDict or dataclass, a name in `__slots__`, or what a
method assigns on its first argument.  Not seen: what is inherited (it counts where it is written), `setattr`,
and what somebody else assigns on an instance that its class does not know of.
"""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from tests.figures.source import FunctionDef, walked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.figures.source import Module

_PROTOCOLS = frozenset({"Protocol", "typing.Protocol"})
"""Not asyncio's."""
_STRUCTS = frozenset({"Struct", "NamedTuple", "TypedDict"})


def attributes(modules: Sequence[Module]) -> dict[str, set[str]]:
    """Of every class that has any, by "module.Class"."""
    structs = _structs(modules)
    found = {
        f"{module.name}.{node.name}": attributes_of(node, struct=node.name in structs)
        for module in modules
        for node in classes(module)
    }
    return {name: names for name, names in found.items() if names}


def attributes_of(node: ast.ClassDef, *, struct: bool) -> set[str]:
    names: set[str] = set()
    for item in node.body:
        if isinstance(item, FunctionDef):
            owner = first_argument(item)
            names |= {target.attr for target in targets(item) if _is_name(target.value, owner)}
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and struct:
            if "ClassVar" not in ast.unparse(item.annotation):
                names.add(item.target.id)
        elif isinstance(item, ast.Assign) and any(_is_name(target, "__slots__") for target in item.targets):
            names |= {text.value for text in walked(item.value) if isinstance(text, ast.Constant)}  # type: ignore[misc]
    return names


def _structs(modules: Sequence[Module]) -> set[str]:
    """The classes whose annotations are fields, those among them that only inherit this."""
    found: set[str] = set()
    everything = [node for module in modules for node in classes(module)]
    while True:
        more = {node.name for node in everything if _is_struct(node, found)} - found
        if not more:
            return found
        found |= more


def _is_struct(node: ast.ClassDef, known: set[str]) -> bool:
    if any(base in _STRUCTS or base in known for base in bases(node)):
        return True
    return any(last_name(decorator) == "dataclass" for decorator in node.decorator_list)


def frozen(modules: Iterable[Module]) -> set[str]:
    """The classes whose instances never change, as they say themselves, by "module.Class". A TypedDict counts
    as one: what a call is given by name, which is read once."""
    return {
        f"{module.name}.{node.name}" for module in modules for node in classes(module) if _is_frozen(node)
    }


def _is_frozen(node: ast.ClassDef) -> bool:
    calls = [decorator.keywords for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    said = [keyword for keywords in (node.keywords, *calls) for keyword in keywords]
    return not {"NamedTuple", "TypedDict"}.isdisjoint(bases(node)) or any(
        keyword.arg == "frozen" and ast.unparse(keyword.value) == "True" for keyword in said
    )


def crowded_protocols(modules: Iterable[Module], most: int) -> dict[str, int]:
    """The Protocols that ask for more than `most` methods, properties among them, by "module.Class"."""
    found = {
        f"{module.name}.{node.name}": sum(isinstance(item, FunctionDef) for item in node.body)
        for module in modules
        for node in classes(module)
        if any(ast.unparse(base).partition("[")[0] in _PROTOCOLS for base in node.bases)
    }
    return {name: count for name, count in found.items() if count > most}


def calling_setters(modules: Iterable[Module]) -> list[str]:
    """The property setters that call something: an assignment that does more than it looks like."""
    return [
        f"{module.name}.{node.name}.{item.name}"
        for module in modules
        for node in classes(module)
        for item in node.body
        if isinstance(item, FunctionDef)
        and any(last_name(decorator) == "setter" for decorator in item.decorator_list)
        and any(isinstance(inner, ast.Call) for statement in item.body for inner in walked(statement))
    ]


def percentile(counts: Iterable[int], percent: int) -> int:
    """The smallest count that so many percent do not exceed."""
    ranked = sorted(counts)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)] if ranked else 0


# --- what the other figures need as well ------------------------------------------------------------


def classes(module: Module) -> Iterator[ast.ClassDef]:
    return (node for node in walked(module.tree) if isinstance(node, ast.ClassDef))


def bases(node: ast.ClassDef) -> list[str]:
    return [last_name(base) for base in node.bases]


def last_name(node: ast.expr) -> str:
    """`Name` of `a.Name`, `Name[T]`, `Name(...)`."""
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def first_argument(function: FunctionDef) -> str:
    """What a method calls its instance; "" for a function without arguments or a static method."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    static = any(last_name(decorator) == "staticmethod" for decorator in function.decorator_list)
    return arguments[0].arg if arguments and not static else ""


def targets(node: ast.AST) -> list[ast.Attribute]:
    """The attributes that are assigned in `node`: also by `+=`, in loops, in `with` and in pairs."""
    return [
        inner
        for inner in walked(node)
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store)
    ]


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
