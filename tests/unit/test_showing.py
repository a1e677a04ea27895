"""`progress=True`: what shows must not end what it shows."""

from __future__ import annotations

import sys

import pytest

from s3_upload import showing


class Gone:
    """The stderr of a program whose terminal was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None: ...


def test_a_terminal_that_is_gone_does_not_end_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    for stderr in (Gone(), None):
        monkeypatch.setattr(sys, "stderr", stderr)
        showing._write("12 %")
