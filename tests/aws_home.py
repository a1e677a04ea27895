"""A home directory with AWS files and variables of the test's own making."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Home:
    """A home directory whose AWS files and environment are the only ones there are."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch
        (path / ".aws").mkdir()

    def config(self, text: str) -> None:
        (self.path / ".aws" / "config").write_text(text)

    def credentials(self, text: str) -> None:
        (self.path / ".aws" / "credentials").write_text(text)

    def env(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return Home(tmp_path, monkeypatch)
