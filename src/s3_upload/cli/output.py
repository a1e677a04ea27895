"""What the command writes, and the few ways it can end early.

Rules: results go to stdout, everything else to stderr; a line is a line whatever names it quotes;
a reader that went away ends the run quietly.
"""

from __future__ import annotations

import os
import sys

from s3_upload.errors import S3UploadError

EXIT_OK = 0
EXIT_FILES_FAILED = 1
EXIT_USAGE = 2
EXIT_RUN = 3
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
"""128 + SIGPIPE, what a shell shows of any program whose reader went away."""


class UsageError(S3UploadError):
    """What was asked for makes no sense: one line says what, where and what to do."""


class InterruptedRun(S3UploadError):  # noqa: N818 - no error: someone wanted it
    """SIGINT or SIGTERM stopped the run. The message says what was uploaded so far."""


class StdoutError(S3UploadError):
    """Nobody reads stdout any more (`gone`), or it cannot be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to stdout: {error.strerror}")
        self.gone = isinstance(error, BrokenPipeError)


def printable(text: str) -> str:
    """`text` with control characters, line breaks and invalid bytes escaped, for one line of display."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def emit(line: str) -> None:
    """Writes one line to stdout, at once.

    Raises `StdoutError` the first time that fails; what follows is discarded, or the interpreter
    would complain at exit.
    """
    try:
        print(line, flush=True)
    except OSError as error:
        discard_stdout()
        raise StdoutError(error) from error


def note(line: str) -> None:
    """Writes one line to stderr. If that fails, there is nobody left to tell."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def error_line(message: str) -> None:
    """The one line that every failure of the command itself ends with."""
    note(f"s3-upload: error: {printable(message)}")


def discard_stdout() -> None:
    """Points file descriptor 1 at nothing: what Python still buffers for it has somewhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
