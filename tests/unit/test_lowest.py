"""What `make test-lowest` looks at first: that the lowest versions are the ones that are tested."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from tests.lowest import untrue

PROJECT: dict[str, Any] = {
    "project": {
        "dependencies": ["a>=1.2; sys_platform != 'win32'"],
        "optional-dependencies": {"x": ["b>=2"]},
    },
    "dependency-groups": {"test": ["c[d]>=3.0.1"], "page": ["e"]},
}


def test_each_bound_is_compared_with_what_is_installed() -> None:
    assert untrue(PROJECT, {"a": "1.2", "b": "2.0.0", "c": "3.0.1"}.__getitem__) == []
    higher = untrue(PROJECT, {"a": "1.20", "b": "2", "c": "3.0.1"}.__getitem__)
    assert higher == ["a>=1.2: 1.20 is installed"]


def test_what_is_not_there_is_not_tested() -> None:
    def installed(name: str) -> str:
        raise PackageNotFoundError(name)

    assert untrue(PROJECT, installed)[1] == "b>=2: nothing is installed"


def test_a_dependency_without_a_bound_is_noticed() -> None:
    with pytest.raises(AssertionError, match="e: has no lower bound"):
        untrue(PROJECT | {"project": {"dependencies": ["e"], "optional-dependencies": {}}}, str)
