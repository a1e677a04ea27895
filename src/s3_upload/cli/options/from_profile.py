"""Tuning that the AWS tools' settings ask for: what counts where neither a flag nor a variable of ours does.

The AWS CLI has a nested section `s3` in a profile, and `max_attempts`.  Those of its settings that have a
counterpart here are taken, in its units (its MB is 2^20 bytes).  A value that is beyond what we can do is
brought within it: it was meant for another tool.
"""

from __future__ import annotations

import dataclasses
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from s3_upload.account.profile import Profile, read_profile
from s3_upload.cli.options.flags import all_flags
from s3_upload.cli.options.idle import is_idle
from s3_upload.config import GIB, MIN_PART_BYTES, UploadConfig
from s3_upload.errors import ConfigError, RunError
from s3_upload.units import MIN_BYTES_PER_S, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cyclopts import App, Argument, ArgumentCollection

_SIZE = r"(?i)(\d+)\s*(?:([kmgt])i?b)?"
_RATE = r"(\d+)\s*([kKmMgGtT]?)i?([Bb])/s"
_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MAX_IN_FLIGHT, _MAX_RETRIES = 10_000, 100
origins: dict[str, str] = {}
"""Setting -> where it was found, once `s3-upload config` has been parsed."""
_COMMANDS = frozenset({(), ("sync",), ("verify",), ("config",)})
"""Those that heed a profile's tuning: an upload is (), and `perf-data` measures what its flags say."""
_OF_COMMAND = ("processes", "cluster", "no_journal")
"""Settings that have a variable of ours, and are no fields of `UploadConfig`."""
SOURCE = "profile"
"""Of a token that is from here."""


Found = tuple[str, str]
"""A value as the flag would be given it, and where it was found."""


def tuning_of(profile: Profile, environ: Mapping[str, str], memory: int) -> dict[str, Found]:
    """Field of `UploadConfig` -> what profile and environment say of it. `memory`: for bodies, in bytes.

    Raises `ConfigError` for a value that is none."""
    found: dict[str, Found] = {}
    for key, field, convert in (
        ("max_concurrent_requests", "max_in_flight", lambda text: min(_positive(text), _MAX_IN_FLIGHT)),
        ("multipart_threshold", "multipart_threshold", lambda text: min(_size(text), memory, 5 * GIB)),
        ("multipart_chunksize", "part_size", lambda text: max(MIN_PART_BYTES, min(_size(text), 5 * GIB))),
        ("max_bandwidth", "max_bandwidth", _rate),
    ):
        if text := str(profile.s3.get(key) or "").strip():
            found[field] = _converted(convert, text, f"{profile.origin('s3')} s3.{key}")
    attempts, origin = environ.get("AWS_MAX_ATTEMPTS"), "AWS_MAX_ATTEMPTS"
    if not attempts:
        attempts = str(profile.keys.get("max_attempts") or "").strip()
        origin = f"{profile.origin('max_attempts')} max_attempts"
    if attempts:
        found["n_retries"] = _converted(lambda text: min(_positive(text) - 1, _MAX_RETRIES), attempts, origin)
    return found


def apply(_: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fills in what the words and our own variables leave unsaid (a `config` of cyclopts)."""
    if commands not in _COMMANDS:
        return
    if not _given(arguments, "--embedded"):
        _fill(arguments, commands[0] if commands else "")
    if commands == ("config",):
        for name in (*(spec.name for spec in dataclasses.fields(UploadConfig)), *_OF_COMMAND):
            tokens = _argument(arguments, f"--{name.replace('_', '-')}").tokens
            if tokens:
                where = tokens[-1].keyword or ""
                origins[name] = "flag" if where.startswith("-") else where


def readable_profile(name: str | None, environ: Mapping[str, str]) -> Profile | None:
    """The profile in force; None for one that cannot be read, which is left to whoever needs it."""
    try:
        return read_profile(name, environ)
    except (ConfigError, RunError):
        return None


def _fill(arguments: ArgumentCollection, command: str) -> None:
    profile = readable_profile(_given(arguments, "--profile"), os.environ)
    if profile is None:
        return
    from cyclopts import Token

    memory = UploadConfig.max_in_flight_bytes
    with suppress(ValueError):  # which is told where it is read
        memory = parse_size(_given(arguments, "--max-in-flight-bytes") or str(memory))
    idle = {flag.field for flag in all_flags() if is_idle(command, flag)}
    for field, (value, origin) in tuning_of(profile, os.environ, memory).items():
        argument = _argument(arguments, f"--{field.replace('_', '-')}")
        if not argument.tokens and field not in idle:
            argument.append(Token(keyword=origin, value=value, source=SOURCE))


def _argument(arguments: ArgumentCollection, name: str) -> Argument:
    return next(argument for argument in arguments if name in argument.names)


def _given(arguments: ArgumentCollection, name: str) -> str | None:
    tokens = _argument(arguments, name).tokens
    return tokens[-1].value if tokens else None


def _converted(convert: Callable[[str], object], text: str, origin: str) -> Found:
    try:
        return str(convert(text)), origin
    except ValueError as error:
        raise ConfigError(f"{origin} = {text!r}: {error}") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError("must be a whole number from 1")
    return int(text)


def _size(text: str) -> int:
    match = re.fullmatch(_SIZE, text)
    if match is None or not int(match[1]):
        raise ValueError("must be a size such as 64MB")
    return int(match[1]) << 10 * _EXPONENT[(match[2] or "").lower()]


def _rate(text: str) -> str:
    match = re.fullmatch(_RATE, text)
    if match is None:
        raise ValueError("must be a rate such as 10MB/s")
    count = int(match[1]) << 10 * _EXPONENT[match[2].lower()]
    return f"{max(count if match[3] == 'B' else count // 8, MIN_BYTES_PER_S)}B/s"
