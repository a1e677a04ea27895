"""All tests of `control/` run with the constants of `constants.py`."""

from __future__ import annotations

import pytest

from tests.unit.control.constants import pin


@pytest.fixture(autouse=True)
def pinned_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch)
