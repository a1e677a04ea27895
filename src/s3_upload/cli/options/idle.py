"""Flags of an upload that another command has no use for: they are refused, so that nobody relies on them.

What the environment or a profile says is no flag: it is said for all commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_upload.cli.options.flags import all_flags
from s3_upload.cli.output import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_upload.cli.options.flags import Flag

_OF_BODIES = frozenset({"checksum", "checksum_algorithm", "payload_signing"})
_VERIFY_TAKES = frozenset({
    "progress", "no_progress", "quiet", "only_show_errors", "json", "null",
    "request_payer", "expected_bucket_owner", "sse_c", "sse_c_key",
    "n_retries", "max_outage_s", "connect_timeout_s", "part_size", "reader_threads",
})  # fmt: skip
"""Of what is said of a run and of objects, and of the tuning."""


def is_idle(command: str, flag: Flag) -> bool:
    """Whether the flag does nothing there."""
    name = flag.field
    if command == "verify":
        if flag.topic in {"sources", "store"}:
            return name in {"order", "remove_source", "create_bucket"} | _OF_BODIES
        return name not in _VERIFY_TAKES
    if command == "clean":
        return name in {"create_bucket"} | _OF_BODIES
    if command == "sync":
        # What is different is found out by one process, and uploaded by it.
        return name in {"no_journal", "expected_size", "processes", "cluster"}
    return command == "perf-data" and name in {"journal", "no_journal", "expected_size"}


def refuse_idle(command: str, words: Sequence[str]) -> None:
    """Raises `UsageError` where one of `words` is a flag that does nothing there."""
    flags = list(all_flags())
    letters = {name[1] for flag in flags for name in flag.names if len(name) == 2}
    names = {name for flag in flags if is_idle(command, flag) for name in flag.names}
    for word in words[: words.index("--")] if "--" in words else words:
        for name in _named(word, letters):
            if name in names:
                raise UsageError(f"{name}: does nothing in s3-upload {command}: leave it out")


def _named(word: str, letters: set[str]) -> list[str]:
    """The flags that a word names for the parser: it takes `--no_journal`, and `-qv` for two."""
    if word.startswith("--"):
        return [word.partition("=")[0].replace("_", "-")]
    if word.startswith("-") and letters.issuperset(word[1:]):
        return [f"-{letter}" for letter in word[1:]]
    return [word.partition("=")[0]]
