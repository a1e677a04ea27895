"""Building the Go programs of the bench where that cannot be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.gostore import program
from bench.nginx import SinkError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    program.cache_clear()


def test_without_go_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SinkError, match=r"^bench/store is built with Go, which is not installed \(https://\S+\)$"
    ):
        program("store")


def test_a_build_that_fails_says_why_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho first >&2\necho 'no space left' >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(SinkError, match=r"^go build in bench/store failed: no space left$"):
        program("store")
