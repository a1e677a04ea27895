"""Every living object of a class of ours: what could show a secret, wherever it is kept.

The collector knows those that could be part of a circle.  It does not tell of a struct of scalars alone, as
an account's credentials are, nor of one that says `gc=False`: these are found in those that hold them.  What
was there when the tests were collected is frozen, and not found: a test that looks for a thing makes it.
"""

from __future__ import annotations

import gc
from collections import deque

_HOLDERS = (dict, list, tuple, set, frozenset, deque)


def of_ours() -> list[object]:
    waiting = [thing for thing in gc.get_objects() if _is_ours(thing)]
    seen: dict[int, object] = {}
    while waiting:
        thing = waiting.pop()
        if id(thing) not in seen:
            seen[id(thing)] = thing
            waiting += [
                held
                for held in gc.get_referents(thing)
                if _is_ours(held) or issubclass(type(held), _HOLDERS)  # not isinstance: a proxy may be dead
            ]
    return [thing for thing in seen.values() if _is_ours(thing)]


def reprs_of_ours(*expected: type) -> str:
    """Of each.  One of each of the `expected` classes has to be there, or nothing is put to the test."""
    things = of_ours()
    missing = [kind.__name__ for kind in expected if kind not in {type(thing) for thing in things}]
    assert not missing, f"not looked at: {missing}"
    return "\n".join(map(repr, things))


def _is_ours(thing: object) -> bool:
    kind = type(thing)
    return str(kind.__module__).startswith("s3_upload") and not issubclass(kind, type)
