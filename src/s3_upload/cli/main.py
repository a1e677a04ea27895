"""The entry point of the command `s3-upload`: every way to end it, as one line and an exit code.

Rules: nothing the user does wrong and nothing the store answers shows a traceback; what starts fast
is imported here, the rest when it is needed.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from s3_upload import __version__
from s3_upload.cli.names import BUCKETS, COMMANDS, OF_UPLOADS, OWN_VARIABLES
from s3_upload.cli.output import (
    EXIT_PIPE,
    EXIT_RUN,
    EXIT_USAGE,
    LAST_WORDS_S,
    STOPPING,
    InterruptedRun,
    StdoutError,
    UsageError,
    be_silent,
    discard_stdout,
    emit,
    end_at_once,
    error_line,
    exit_code,
    flush,
    in_background,
    interrupt,
    note,
)
from s3_upload.errors import ConfigError, S3UploadError, SourceError

_LETTERS = frozenset("0qrv")
"""Flags without a value, which may stand together behind one hyphen."""
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Which `serve` takes for its flags."""
_COLLECT_EVERY = 100_000
"""From the start until a run says how often (`session.py`). Modules are no garbage, and looking for it among
them takes 9 % of the time of a small upload."""


def run() -> None:
    """Runs the command and exits."""
    _occupy_standard_descriptors()
    gc.set_threshold(_COLLECT_EVERY)
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        code = main(sys.argv[1:])
        _flush()
        if code != exit_code():
            _end(code)
    except KeyboardInterrupt:  # another, or while nobody read an error's line, or at the end
        pass
    end_at_once()  # the interpreter's own end writes what is buffered, and may wait for ever


def _end(code: int) -> NoReturn:
    """The interpreter's own end takes all modules apart, 5 % of the time of a small upload. Nothing waits for
    it: all threads are daemons, stdout is flushed, and what is registered for the end is done here."""
    if sys.flags.dev_mode:  # which is about what is left at the end
        sys.exit(code)
    atexit._run_exitfuncs()
    with suppress(OSError, AttributeError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _occupy_standard_descriptors() -> None:
    """Where stdin, stdout or stderr is closed, nothing that is opened later gets its number: what is written
    there would go into a connection or a file, and uvloop aborts the process when it closes such a one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _flush() -> None:
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):  # closed, or none at all
        discard_stdout()


def main(words: list[str]) -> int:
    """Runs the command with these words and returns its exit code."""
    _forget_empty_variables(words)
    be_silent(_asks_for_silence(words))
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        discard_stdout()
        with in_background():
            note("s3-upload: interrupted: nothing was uploaded")
            flush(LAST_WORDS_S)
        return exit_code()
    except S3UploadError as error:
        return _told(error)
    except (BrokenPipeError, SystemExit):  # a reader of --help that went away; rich exits of its own
        discard_stdout()
        return EXIT_PIPE
    except Exception as error:
        if _nowhere(error):
            return _told(UsageError("the working directory was removed: give whole paths, or cd to another"))
        if sys.flags.dev_mode:
            raise
        error_line(f"unexpected {type(error).__name__}: {error} (PYTHONDEVMODE=1 shows where)")
        return EXIT_RUN


def _nowhere(error: Exception) -> bool:
    """Whether a relative path was to be made whole in a working directory that was removed."""
    from s3_upload.sources.source import Here  # the start of each run would pay for it

    # `os.getcwd` names no file.
    return isinstance(error, FileNotFoundError) and error.filename is None and not Here().directory


def _forget_empty_variables(words: list[str]) -> None:
    """An empty variable that says what a flag says counts as unset, as those of AWS do where they are read:
    `export S3_UPLOAD_CLUSTER=` asks for no cluster."""
    keys = _KEYS if words[:1] == ["serve"] else ()
    for name in [name for name in os.environ if name.startswith(OWN_VARIABLES) or name in keys]:
        if not os.environ[name]:
            del os.environ[name]


def _asks_for_silence(words: list[str]) -> bool:
    """Whether --quiet is among the flags, which holds for what is wrong with the others, too; but not of a
    command that has no such flag."""
    if words and words[0] in COMMANDS and words[0] not in OF_UPLOADS:
        return False
    flags = words[: words.index("--")] if "--" in words else words
    letters = [set(word[1:]) for word in flags if word[:1] == "-"]
    return "--quiet" in flags or any("q" in found and found <= _LETTERS for found in letters)


def _told(error: S3UploadError) -> int:
    """Says what happened and returns the exit code for it."""
    if isinstance(error, InterruptedRun):
        return exit_code()
    if isinstance(error, StdoutError) and error.gone:
        return EXIT_PIPE
    error_line(str(error))
    return EXIT_USAGE if isinstance(error, UsageError | ConfigError | SourceError) else EXIT_RUN


def _dispatch(words: list[str]) -> int:
    if words and words[0] in {"--version", "-V", "version"} and not os.path.lexists(words[0]):
        emit(f"s3-upload {__version__}")
        return 0
    if len(words) == 2 and words[0] == BUCKETS and not os.path.lexists(BUCKETS):
        from s3_upload.cli.buckets import tell_buckets

        return tell_buckets(words[1])
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names need not fit the terminal's encoding
    from s3_upload.cli import help

    if words[:1] == ["config"] and os.path.lexists("config") and any(w[:5] == "s3://" for w in words[1:]):
        words = ["./config", *words[1:]]  # a file of that name, with its destination
    words = help.of_command(words, COMMANDS)
    if (text := help.asked_for(words, COMMANDS)) is not None:
        emit(text)
        return 0
    from s3_upload.cli.options import plain

    if (usual := plain.read(words, os.environ)) is not None:
        from s3_upload.cli.uploading import upload

        return upload(*usual)
    return _parsed(words)


def _parsed(words: list[str]) -> int:
    from cyclopts import CycloptsError

    from s3_upload.cli.commands import app
    from s3_upload.cli.options import aws_words
    from s3_upload.cli.options.flags import all_flags

    words = aws_words.for_parser(words)
    if words and words[0] in COMMANDS:
        from s3_upload.cli.options.idle import refuse_idle

        refuse_idle(words[0], words)
    if "-" in words:
        from s3_upload.cli.stdin import for_parser

        words = for_parser(words, {name for flag in all_flags() if not flag.metavar for name in flag.names})
    try:
        code = app(words)
    except CycloptsError as error:
        from s3_upload.cli.mistakes import parser_error

        of_uploads = [name for flag in all_flags() for name in flag.names]
        command = words[0] if words and words[0] in COMMANDS and words[0] not in OF_UPLOADS else ""
        own: list[str] = []
        if command:
            own = [name for each in app[command].assemble_argument_collection() for name in each.names]
        raise parser_error(error, of_uploads, command, own) from error
    return code if isinstance(code, int) else 0
