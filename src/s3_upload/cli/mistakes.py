"""What people type in place of what would work, and what they probably mean: one line for each.

Rules: a message says what is wrong, where, and what to do.  A word that exists as a file or directory is
taken for that.  Who wants what this tool does not do is told one that does it.
"""

from __future__ import annotations

import difflib
import os
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from s3_upload.cli.output import UsageError
from s3_upload.cli.stdin import STDIN
from s3_upload.errors import ConfigError
from s3_upload.sources.mapping import Destination, is_s3_url, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cyclopts import CoercionError, CycloptsError, MissingArgumentError

ALIASES = ("cp", "copy", "upload", "put")
"""May stand before the sources, as with other tools."""
_ONLY = "s3-upload only uploads"
_DELETE = f"{_ONLY}: to delete use `aws s3 rm`, `s5cmd rm` or `rclone delete`"
_DOWNLOAD = f"{_ONLY}: to download use `aws s3 cp`, `s5cmd cp` or `rclone copy`"
_LIST = f"{_ONLY}: to list use `aws s3 ls`, `s5cmd ls` or `rclone ls`"
_SYNC = "to upload only what is different use s3-upload sync SRC... s3://BUCKET/PREFIX, flags behind it"
_MOVE = f"{_ONLY}: to move use `aws s3 mv`, or delete the files when it has ended with 0"
_OTHER_TOOLS = {
    **dict.fromkeys(("rm", "delete", "del", "remove", "rb"), _DELETE),
    **dict.fromkeys(("get", "download", "pull", "fetch", "cat"), _DOWNLOAD),
    **dict.fromkeys(("ls", "list", "du", "stat", "head"), _LIST),
    **dict.fromkeys(("sync", "mirror", "rsync"), _SYNC),
    **dict.fromkeys(("mv", "move", "rename"), _MOVE),
    **dict.fromkeys(("mb", "make-bucket"), "--create-bucket makes the bucket of an upload that has none yet"),
    "pipe": "what comes in by stdin is -, as in s3-upload - s3://BUCKET/KEY",
    "presign": f"{_ONLY}: for a link to an object use `aws s3 presign`",
    "configure": f"{_ONLY}: it finds the account that `aws configure` sets up",
}
_OTHER_FLAGS = {
    **dict.fromkeys(
        ("--concurrency", "--numworkers", "--jobs", "-j", "--transfers", "--threads", "--workers"),
        "how many requests there are at once follows from what it brings; --max-in-flight bounds it",
    ),
    **dict.fromkeys(("--bwlimit", "--limit-rate", "--rate-limit"), "use --max-bandwidth 20MB/s"),
    **dict.fromkeys(("--delete", "--delete-removed"), "s3-upload deletes nothing: `aws s3 sync` does"),
    **dict.fromkeys(("--no-check-certificate", "--insecure", "-k"), "use --no-verify-ssl"),
    **dict.fromkeys(("-L", "--copy-links"), "links are followed: leave it out"),
    **dict.fromkeys(("--skip-links", "--no-dereference"), "use --no-follow-symlinks"),
    **dict.fromkeys(
        ("--size-only", "--compare", "--update", "--checksum-only"),
        "s3-upload sync compares (s3-upload sync --help); --no-clobber skips what exists",
    ),
    "--skip-existing": "--no-clobber skips what exists",
    **dict.fromkeys(("--multipart-chunksize", "--chunk-size", "--s3-chunk-size"), "use --part-size 16MiB"),
    **dict.fromkeys(("--acl-public", "--public", "-P"), "use --acl public-read"),
    **dict.fromkeys(("--force", "-f", "--yes", "-y"), "nothing is asked, and what exists is overwritten"),
    **dict.fromkeys(("-n", "--dry"), "use --dryrun"),
    **dict.fromkeys(("--debug", "-vv"), "-v names every file, --json tells every attempt"),
    "--max-concurrent-requests": "use --max-in-flight",
    "--retries": "use --n-retries",
    "--timeout": "",  # is one of ours
}
_KINDS: dict[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}
_S3_LIKE = re.compile(r"(?i)s3[an]?(?::/*|//+)(?P<rest>[^/].*)")
_ARN = re.compile(r"arn:[a-z-]+:s3:::(?P<rest>.+)")
_AWS_URL = re.compile(
    r"(?i)https?://(?:(?P<host>[a-z0-9.-]+)\.)?s3[.-](?:[a-z0-9.-]+\.)?amazonaws\.com(?:\.cn)?/?(?P<path>.*)"
)
_URL = re.compile(r"(?i)(?P<store>https?://[^/]+)/(?P<rest>[^/].*)")
_SCHEME = re.compile(r"(?i)(?!s3:)(?P<scheme>[a-z][a-z0-9+.-]+)://.*")
COPIES = "to copy from bucket to bucket use `aws s3 cp` or `rclone copy`"


def without_alias(words: Sequence[str], commands: Sequence[str]) -> Sequence[str]:
    """The words behind `cp` or `upload`, where these are no sources. Raises `UsageError` for the words of
    what this tool does not do, and for what is almost one of `commands`."""
    if not words or os.path.lexists(words[0]):
        return words
    first = words[0]
    if first == "s3" and words[1:]:  # as after aws
        return without_alias(words[1:], commands)
    if first in _OTHER_TOOLS:
        raise UsageError(f"{first}: {_OTHER_TOOLS[first]}")
    if first in ALIASES:
        return words[1:]
    similar = difflib.get_close_matches(first, (*ALIASES, *commands), n=1, cutoff=0.75)
    # Of two words before a destination the first may well be a command; one alone is rather a source.
    if similar and len(words) > 2:
        raise UsageError(f"{first}: no such command. Did you mean {similar[0]}?")
    return words


def no_destination(words: Sequence[str], commands: Sequence[str]) -> UsageError:
    """What to say where the last word is no s3:// URL."""
    words = ["-" if word == STDIN else word for word in words]
    *paths, last = words
    if not os.path.lexists(words[0]):
        similar = difflib.get_close_matches(words[0], commands, n=1, cutoff=0.7)
        if similar:
            return UsageError(f"{words[0]}: no such command. Did you mean {similar[0]}?")
    if paths and last.startswith("-") and last != "-":
        return UsageError(f"{last}: what follows -- is no flag: put flags before it")
    urls = [word for word in paths if is_s3_url(word)]
    if urls:
        if os.path.lexists(last):
            right = " ".join([*(word for word in words if word not in urls), urls[0]])
            return UsageError(
                f"{urls[0]} {last}: the destination comes last: s3-upload {right} ({_DOWNLOAD})"
            )
        return UsageError(f"{urls[0]}: {_DOWNLOAD}")
    meant = _meant(last, is_destination=bool(paths))
    if meant:
        return UsageError(f"{last}: {meant}")
    return UsageError(f"{quoted(last)}: the destination is missing: the last word must be s3://BUCKET/PREFIX")


def _meant(word: str, *, is_destination: bool) -> str:  # noqa: PLR0911 - one for each way to spell it
    """What a word probably means that is no s3:// URL, as advice; "" where nobody can know."""
    if match := _S3_LIKE.fullmatch(word) or _ARN.fullmatch(word):
        return _did_you_mean(match["rest"]) or "the destination must look like s3://BUCKET/PREFIX"
    if word.startswith("arn:"):
        return _did_you_mean(word) or "the destination must look like s3://BUCKET/PREFIX"
    if match := _AWS_URL.fullmatch(word):
        return _did_you_mean("/".join(filter(None, (match["host"], match["path"]))))
    if match := _URL.fullmatch(word):
        return f"use --endpoint-url {match['store']} and s3://{match['rest']}"
    if match := _SCHEME.fullmatch(word):
        return f"{match['scheme']} is not S3: the destination must look like s3://BUCKET/PREFIX"
    if _S3_LIKE.match(word + "x") and ":" in word:
        return "the destination must look like s3://BUCKET/PREFIX"
    if is_destination and word and not word.startswith((".", "/", "~", "-")) and not os.path.lexists(word):
        return _did_you_mean(word)
    return ""


def _did_you_mean(rest: str) -> str:
    try:
        Destination.parse(f"s3://{rest}")
    except ConfigError:
        return ""
    return f"the destination begins with s3://. Did you mean s3://{rest}?"


def parser_error(
    error: CycloptsError, flags: Iterable[str], command: str = "", own: Iterable[str] = ()
) -> UsageError:
    """What the parser says, in the form of our other lines. `flags`: those of uploads; `command`: one with
    its `own` instead."""
    from cyclopts import exceptions

    if not isinstance(error, exceptions.UnknownOptionError):
        return UsageError(_told(error) or " ".join(str(error).split()))
    word = error.token.keyword or error.token.value
    if command:
        return UsageError(_foreign_flag(word, flags, command, own))
    return UsageError(_unknown_flag(word, [*flags, "--help", "--help-all", "--version"]))


def _told(error: CycloptsError) -> str:
    from cyclopts import exceptions

    if isinstance(error, exceptions.CoercionError):
        return _wrong_value(error)
    if isinstance(error, exceptions.RepeatArgumentError):
        return f"{error.token.keyword}: is given twice: leave one out"
    if isinstance(error, exceptions.MissingArgumentError) and error.keyword:
        return f"{error.keyword}: its value is missing{_hint(error)} (s3-upload --help {error.keyword})"
    if isinstance(error, exceptions.UnusedCliTokensError) and error.unused_tokens:
        return f"{error.unused_tokens[0]}: one word too many"
    return ""


def _hint(error: MissingArgumentError) -> str:
    """A value that begins with "-" looks like a flag."""
    words = error.root_input_tokens or []
    value = next((after for word, after in pairwise(words) if word == error.keyword), "")
    looks_like_one = value.startswith("-") and not value.startswith("--") and len(value) > len("-n")
    return f": if {value} is that, write {error.keyword}={value}" if looks_like_one else ""


def _wrong_value(error: CoercionError) -> str:
    token = error.token
    if token is None or not token.keyword:
        return ""
    where = f"{token.keyword}={token.value}" if token.source == "env" else f"{token.keyword} {token.value}"
    if error.msg is not None:
        return f"{where}: {error.msg}"
    choices = [choice for part in _parts(error.target_type) for choice in get_args(part)]
    if choices:
        return f"{where}: must be {' or '.join(map(str, choices))}"
    return f"{where}: must be {_KINDS[error.target_type]}" if error.target_type in _KINDS else ""


def _parts(kind: object) -> Iterator[object]:
    """Those of a union that are a Literal."""
    return (part for part in (kind, *get_args(kind)) if get_origin(part) is Literal)


def _foreign_flag(word: str, flags: Iterable[str], command: str, own: Iterable[str]) -> str:
    name = word.partition("=")[0]
    meant = name.replace("_", "-").lower()
    similar = difflib.get_close_matches(
        meant, [each for each in own if each.startswith("-")], n=1, cutoff=0.7
    )
    did_you_mean = f" Did you mean {similar[0]}?" if similar else ""
    if meant in flags:
        return f"{name}: is no flag of s3-upload {command}.{did_you_mean}"
    did_you_mean = did_you_mean or f" s3-upload {command} --help lists them."
    return f"{name}: no such flag.{did_you_mean}"


def _unknown_flag(word: str, flags: Iterable[str]) -> str:
    name = word.partition("=")[0]
    if advice := _OTHER_FLAGS.get(name):
        return f"{name}: no such flag: {advice}"
    similar = difflib.get_close_matches(name.replace("_", "-").lower(), flags, n=1, cutoff=0.7)
    did_you_mean = f" Did you mean {similar[0]}?" if similar else " s3-upload --help-all lists them."
    return f"{name}: no such flag.{did_you_mean}"
