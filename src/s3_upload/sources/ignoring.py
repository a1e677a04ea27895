"""Files of patterns in the language of .gitignore: `exclude_from` and `ignore_file`.

Rules:

* `pathspec` reads the language, as git does it: the last line that matches decides, `!` takes in again, a
  pattern with a "/" inside is a path from where the file counts.
* Of several files that of the directory nearest to an entry decides, if one of its lines matches.
* In a file that lies in the tree a line that is no pattern matches nothing, as in git; in one that was given
  it is a mistake.
* A file that is there and cannot be read is an error: what it would have kept back must not be uploaded.  So
  are a FIFO and a device of that name, but for a link to /dev/null, which says nothing.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from s3_upload.descriptors import patiently
from s3_upload.errors import ConfigError, SourceError

_EVERYTHING = {"*", "**", "/**", "**/*"}


class Patterns:
    """Lines in the language of .gitignore. Raises `ValueError` and `re.error` for one that is no pattern.

    `pathspec` makes regular expressions of them.  Which line decides is found here: it judges a path by its
    directories, too, and so lets `!*.d` take in again all that is in x.d.  A walk has judged these already.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        from pathspec import GitIgnoreSpec  # here: its import takes as long as all else of the command

        bodies = [body for line in lines if (body := _body(line))[0]]
        self.lines = tuple(bodies)
        """What is in force of them."""
        self.have_paths = any("/" in body for body, _ in bodies)
        """Whether a line is about more than names."""
        made = GitIgnoreSpec.from_lines([body for body, _ in bodies]).patterns
        self._last_first = [
            (pattern, only_directories)
            for pattern, (_, only_directories) in zip(made, bodies, strict=True)
            if pattern.include is not None  # a comment, an empty line
        ][::-1]

    def says(self, path: str, *, is_directory: bool) -> bool | None:
        """Whether `path`, from where the lines count, is to be ignored (True) or, by a line that begins with
        "!", not (False); None where no line matches."""
        path = path.replace("\n", "\v")  # which no "." matches, and "$" would match before it
        for pattern, only_directories in self._last_first:
            if only_directories and not is_directory:
                continue
            found = pattern.match_file(path)
            # It may be a directory above that matches: then this group has its slash.
            if found is not None and found.match.groupdict().get("ps_d") is None:
                return pattern.include
        return None


def _body(line: str) -> tuple[str, bool]:
    """A line without the slash at its end, and whether it has one: it is for directories only."""
    if line.startswith("#"):
        return "", False
    bare = re.sub(r"(?<!\\)[ \t]+$", "", line)
    body = bare.removesuffix("/")
    sign = "!" if body.startswith("!") else ""
    if body.removeprefix(sign) in _EVERYTHING:
        body = f"{sign}?*"  # to pathspec the others match paths without a name, too
    return body, body != bare and bare.endswith("/")


Ignored = tuple[Patterns, int]
"""What counts below one directory, and where in their keys the paths of entries from there begin."""


def is_ignored(files: Sequence[Ignored], key: str, *, is_directory: bool) -> bool:
    """What becomes of an entry by `files`, of which the nearest comes first."""
    for patterns, start in files:
        says = patterns.says(key[start:], is_directory=is_directory)
        if says is not None:
            return says
    return False


def patterns_of(path: str) -> list[str]:
    """The lines of a file that was given. Raises `ConfigError` where it cannot be read, or one of them is no
    pattern."""
    try:
        lines = _lines(path)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise ConfigError(f"exclude_from {path}: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, 1):
        if (why := _complaint(line)) is not None:
            raise ConfigError(f"exclude_from {path}: line {number}: {why}")
    return lines


def found_in(directory: str, name: str) -> Patterns | None:
    """What the file of that name in `directory` says, None where there is none. Raises `SourceError`."""
    path = os.path.join(directory, name)  # noqa: PTH118 - of each directory
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - of each directory
        # To open a FIFO waits for whoever writes into it, and a device may have no end.
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or Path(path).samefile(os.devnull)):
            raise OSError("is no file")
        lines = patiently(lambda: _lines(path))
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        why = f"{path}: {error.strerror or error}: what it leaves out is not known"
        raise SourceError(why) from error
    return Patterns([line for line in lines if _complaint(line) is None])


def names_only(lines: Sequence[str]) -> list[str]:
    """The lines that are about names at any depth, and not about paths."""
    return [line for line in lines if "/" not in line.rstrip().rstrip("/")]


def _lines(path: str) -> list[str]:
    """With the bytes of names as keys have them."""
    text = Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")
    return [line.removesuffix("\r") for line in text.split("\n")]


def _complaint(line: str) -> str | None:
    """Why a line is no pattern."""
    try:
        Patterns([line])
    except (ValueError, re.error) as error:
        return str(error)
    return None
