"""Who does a job: the values that a caller may give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from s3_upload.errors import ConfigError

if TYPE_CHECKING:
    from concurrent.futures import Executor

Processes = int | Literal["auto"]
MOST = 8
"""Processes that "auto" takes."""
MAX_PROCESSES = 256


def check_processes(given: object) -> Processes:
    """Raises `ConfigError`."""
    if given == "auto":
        return "auto"
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MAX_PROCESSES:
        return given
    raise ConfigError(f"processes = {given!r}: must be a whole number from 1 to {MAX_PROCESSES}, or 'auto'")


class Spread(msgspec.Struct, frozen=True):
    """Who does it: so many `processes` of ours, or the workers of an `executor`, as many at a time as it has,
    or `processes` where that is more than 1.  `said`: how the caller said that, if not by
    arguments; for messages."""

    processes: Processes = 1
    executor: Executor | None = None
    said: str = ""

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.said or (f"processes = {self.processes}" if self.executor is None else "executor")

    @property
    def wanted(self) -> int:
        """How many are wanted at a time; 0 where nobody has said."""
        return 0 if self.processes in {1, "auto"} else int(self.processes)

    @property
    def grows(self) -> bool:
        return self.processes == "auto" and self.executor is None


ALONE = Spread()
