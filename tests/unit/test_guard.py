"""What a callback of the loop raises ends the run, and is not printed and forgotten."""

from __future__ import annotations

import pytest

from s3_upload.transfer.guard import guarded


def test_what_is_raised_goes_to_fail_and_an_interrupt_does_not() -> None:
    errors: list[BaseException] = []

    def broken() -> None:
        raise RuntimeError("a bug")

    def interrupted() -> None:
        raise KeyboardInterrupt

    guarded(errors.append, broken)()
    assert [str(error) for error in errors] == ["a bug"]
    with pytest.raises(KeyboardInterrupt):
        guarded(errors.append, interrupted)()
