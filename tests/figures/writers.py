"""Objects that several modules write: `unit.retries += 1` outside of the module that has `Unit`.

A class counts where more than one module assigns attributes of its instances.  Its own module is one of them
if a method other than the constructor does.

What an expression is, is found by annotations (of arguments, fields, results) and by what was assigned:
`unit: Unit`, `unit = Unit()`, `self.unit.upload`.  Where that tells nothing, an attribute that one class
alone declares is that class's, and one that several declare is nobody's.

Not seen: `setattr`; what changes without an assignment (`x.names.append(1)`, `x.table[key] = 1`); what goes
through a method of the object (its own module writes then); what a subclass assigns on itself (that counts as
the subclass's); elements of containers whose attribute several classes declare; what a module does outside of
functions.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tests.figures.classes import attributes_of, classes, first_argument
from tests.figures.source import FunctionDef, functions, own, walked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.figures.source import Module

Writers = dict[str, dict[str, set[str]]]
"""Class -> module -> the attributes that it assigns."""
_CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__"})


class _Class(NamedTuple):
    """`types`: what fields and results of methods are, as far as it is written down."""

    name: str
    module: str
    declared: set[str]
    types: dict[str, str]


class _Names(NamedTuple):
    """`local`: of each module, what a name there means."""

    classes: dict[str, _Class]
    local: dict[str, dict[str, str]]
    declarers: dict[str, set[str]]


def several_writers(modules: Sequence[Module]) -> Writers:
    """The classes that more than one module writes, by "module.Class"."""
    names = _names(modules)
    found: Writers = defaultdict(lambda: defaultdict(set))
    for module in modules:
        for owner, attribute in _writes(module, names):
            found[owner][module.name].add(attribute)
    return {name: dict(writers) for name, writers in sorted(found.items()) if len(writers) > 1}


# --- what there is --------------------------------------------------------------------------------


def _names(modules: Sequence[Module]) -> _Names:
    known = {
        f"{module.name}.{node.name}": _Class(
            f"{module.name}.{node.name}", module.name, attributes_of(node, struct=True), {}
        )
        for module in modules
        for node in classes(module)
    }
    local = {module.name: _local(module, known) for module in modules}
    declarers: dict[str, set[str]] = defaultdict(set)
    for found in known.values():
        for attribute in found.declared:
            declarers[attribute].add(found.name)
    names = _Names(known, local, declarers)
    for module in modules:
        for node in classes(module):
            known[f"{module.name}.{node.name}"].types.update(_types(node, local[module.name]))
    return names


def _local(module: Module, known: Mapping[str, _Class]) -> dict[str, str]:
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in walked(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    own = {node.name: f"{module.name}.{node.name}" for node in classes(module)}
    return {name: whole for name, whole in (imported | own).items() if whole in known}


def _types(node: ast.ClassDef, local: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found[item.target.id] = _annotated(item.annotation, local)
        elif isinstance(item, FunctionDef):
            found[item.name] = _annotated(item.returns, local)
            found.update(_assigned_fields(item, local))
    return {name: whole for name, whole in found.items() if whole}


def _assigned_fields(function: FunctionDef, local: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Of `self.x: T`, `self.x = argument` and `self.x = Class(...)`."""
    owner, arguments = first_argument(function), _arguments(function, local)
    for node in walked(function):
        if isinstance(node, ast.AnnAssign):
            kind = _annotated(node.annotation, local)
        elif isinstance(node, ast.Assign):
            name = node.value.func if isinstance(node.value, ast.Call) else node.value
            scope = local if isinstance(node.value, ast.Call) else arguments
            kind = scope.get(name.id, "") if isinstance(name, ast.Name) else ""
        else:
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if kind and isinstance(target, ast.Attribute) and ast.unparse(target.value) == owner:
            yield target.attr, kind


def _arguments(function: FunctionDef, local: Mapping[str, str]) -> dict[str, str]:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {one.arg: _annotated(one.annotation, local) for one in every}


def _annotated(annotation: ast.expr | None, local: Mapping[str, str]) -> str:
    """The first class of ours in `T`, `T | None`, `"T"`; "" for a container of them, which is none itself."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return _annotated(ast.parse(annotation.value, mode="eval").body, local)
    if isinstance(annotation, ast.BinOp):
        return _annotated(annotation.left, local) or _annotated(annotation.right, local)
    return local.get(annotation.id, "") if isinstance(annotation, ast.Name) else ""


# --- who writes it --------------------------------------------------------------------------------


def _writes(module: Module, names: _Names) -> Iterator[tuple[str, str]]:
    """The class and the attribute of each assignment that is no constructor's on what it makes."""
    methods = {
        id(item): f"{module.name}.{node.name}"
        for node in classes(module)
        for item in node.body
        if isinstance(item, FunctionDef)
    }
    for function in functions(module.tree):
        yield from _written(function, {}, methods, names, module.name)


def _written(
    function: FunctionDef, around: dict[str, str], methods: dict[int, str], names: _Names, module: str
) -> Iterator[tuple[str, str]]:
    """`around`: what names mean outside of it.  `methods`: the class of each."""
    me = first_argument(function) if id(function) in methods else ""
    inside = around | _arguments(function, names.local[module])
    if me:
        inside[me] = methods[id(function)]
    body = own(function)
    inside |= _variables(body, inside, names, module)
    made = me if function.name in _CONSTRUCTORS else ""
    for node in body:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            by_maker = isinstance(node.value, ast.Name) and node.value.id == made
            if not by_maker and (found := _owner_of(node, inside, names, module)):
                yield found, node.attr
    for inner in functions(function):
        yield from _written(inner, inside, methods, names, module)


def _variables(body: list[ast.AST], scope: dict[str, str], names: _Names, module: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _type_of(node.value, scope | found, names, module)
        elif isinstance(node, ast.NamedExpr):
            found[node.target.id] = _type_of(node.value, scope | found, names, module)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = _annotated(node.annotation, names.local[module])
    return {name: whole for name, whole in found.items() if whole}


def _type_of(node: ast.expr, scope: dict[str, str], names: _Names, module: str) -> str:
    if isinstance(node, ast.Await):
        return _type_of(node.value, scope, names, module)
    if isinstance(node, ast.Name):
        return scope.get(node.id, "")
    if isinstance(node, ast.Attribute):
        owner = names.classes.get(_type_of(node.value, scope, names, module))
        return owner.types.get(node.attr, "") if owner is not None else ""
    if isinstance(node, ast.Call):
        made = names.local[module].get(node.func.id, "") if isinstance(node.func, ast.Name) else ""
        return made or _type_of(node.func, scope, names, module)
    return ""


def _owner_of(target: ast.Attribute, scope: dict[str, str], names: _Names, module: str) -> str:
    known = _type_of(target.value, scope, names, module)
    if known:
        return known
    declarers = names.declarers.get(target.attr, set())
    return next(iter(declarers)) if len(declarers) == 1 else ""
