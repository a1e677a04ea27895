"""What callers give is checked where it comes in: a wrong type is a `TypeError` that names the argument.

A value that goes astray fails far from the line that is wrong, or not at all: `bytes(7)` is seven zeros.
No message quotes a value, which may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import iscoroutinefunction
from types import NoneType
from typing import Any


def must_be(name: str, value: object, kinds: type | tuple[type, ...], wanted: str, hint: str = "") -> None:
    """Raises `TypeError` unless `value` is of `kinds`, which the message calls `wanted`.

    True and False are numbers only where `kinds` says bool.
    """
    wrong_bool = isinstance(value, bool) and kinds is int
    if wrong_bool or not isinstance(value, kinds):
        raise wrong_type(name, value, wanted, hint)


def must_be_text(name: str, value: object) -> None:
    """None will do, too."""
    must_be(name, value, (str, NoneType), "str or None")


def must_be_texts(name: str, value: object) -> None:
    """A mapping from text to text."""
    must_be(name, value, Mapping, "a mapping of str to str")
    assert isinstance(value, Mapping)
    for key, text in value.items():
        must_be(f"a key of {name}", key, str, "str")
        must_be(f"{name}[{key!r}]", text, str, "str")


def must_be_switch(name: str, value: object) -> None:
    must_be(name, value, (bool, NoneType), "True, False or None")


def must_be_callable(name: str, value: object, hint: str = "", *, optional: bool = True) -> None:
    """`optional`: None will do, too."""
    if not callable(value) and not (optional and value is None):
        raise wrong_type(name, value, "callable or None" if optional else "callable", hint)


def must_be_listener(name: str, value: object) -> None:
    """A function to be called with events, or None. One that is async would never run."""
    must_be_callable(name, value)
    if iscoroutinefunction(value):
        raise TypeError(
            f"{name}: must be no coroutine function, which nobody awaits; use async for with start_upload"
        )


def must_be_bytes(name: str, value: Any) -> None:
    """Anything will do that exports its memory."""
    if type(value) is not bytes:
        as_view(name, value)


def as_bytes(name: str, value: Any) -> bytes:
    """`bytes` as they are, and a copy of what any other object that exports its memory holds.

    `bytes(value)` would take a number for a length and a list for bytes.
    """
    return value if type(value) is bytes else as_view(name, value).tobytes()


def as_view(name: str, value: Any) -> memoryview:
    try:
        return memoryview(value)
    except TypeError:
        hint = "encode it" if isinstance(value, str) else ""
        raise wrong_type(name, value, "bytes", hint) from None


def wrong_type(name: str, value: object, wanted: str, hint: str = "") -> TypeError:
    found = "None" if value is None else type(value).__name__
    return TypeError(f"{name}: must be {wanted}, not {found}" + (f"; {hint}" if hint else ""))
