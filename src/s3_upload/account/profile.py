"""The environment's variables and the profile in force, as the AWS tools' files have it.

An empty environment variable counts as unset, whichever it is (`set_variables`).  A file that is not there,
or in a home that may not be looked into, is no file; one that may not be read is an error.

Parsing needs only `botocore.configloader`, which is light, and only where such a file exists.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from s3_upload.errors import ConfigError, FailureKind, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROFILE_VARIABLES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")  # in botocore's order


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`name` None: nobody named one, and `keys` are those of "default", where there is one.

    `named_by`: "flag", or the variable. `files`: which file each key is from. `services`: all sections of
    that kind, of all profiles.
    """

    name: str | None
    named_by: str
    keys: dict[str, Any]
    files: dict[str, str]
    services: dict[str, Any]

    @property
    def s3(self) -> dict[str, Any]:
        """The nested `s3` section."""
        return nested(self.keys, "s3")

    def origin(self, key: str) -> str:
        """Where a key stands, in words."""
        return f"{self.files.get(key, '')} [{self.name or 'default'}]"


def set_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those that say anything."""
    return {name: value for name, value in environ.items() if value}


def nested(keys: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A nested section, empty where there is none: so botocore treats a scalar in its place."""
    value = keys.get(name)
    return value if isinstance(value, dict) else {}


def read_profile(profile: str | None, environ: Mapping[str, str]) -> Profile:
    """The profile that an argument or else a variable names, or "default".

    As botocore's `Session.full_config`: the credentials file adds its keys to the config file's.
    """
    name, named_by = profile, "flag" if profile is not None else ""
    if name is None:
        found = ((environ[variable], variable) for variable in PROFILE_VARIABLES if environ.get(variable))
        name, named_by = next(found, (None, ""))
    config_path, credentials_path = config_paths(environ)
    profiles: dict[str, dict[str, Any]] = {}
    files: dict[str, dict[str, str]] = {}
    services: dict[str, Any] = {}
    # os.path's isfile is False where a directory may not be looked into, where a Path's raises.
    for path, profiles_only in ((config_path, False), (credentials_path, True)):
        if not os.path.isfile(path):  # noqa: PTH113
            continue
        parsed = _parse(path, profiles_only=profiles_only)
        if not profiles_only:
            services, parsed = parsed["services"], parsed["profiles"]
        for section, keys in parsed.items():
            profiles.setdefault(section, {}).update(keys)
            files.setdefault(section, {}).update(dict.fromkeys(keys, path))
    if name is not None and name not in profiles:
        raise profile_not_found(name, environ)
    section = name or "default"
    return Profile(
        name=name,
        named_by=named_by,
        keys=profiles.get(section, {}),
        files=files.get(section, {}),
        services=services,
    )


def _parse(path: str, *, profiles_only: bool) -> dict[str, Any]:
    from botocore import configloader
    from botocore.exceptions import ConfigParseError

    read = configloader.raw_config_parse if profiles_only else configloader.load_config
    try:
        Path(path).read_bytes()  # of one that cannot be read the parser makes an empty one
        parsed: dict[str, Any] = read(path)
    except (ConfigParseError, OSError) as error:
        # The parser's own message quotes the line, which may be a secret.
        why = f" ({error.strerror})" if isinstance(error, OSError) else ""
        raise ConfigError(f"{path}: cannot be read as an AWS config file{why}; correct or move it") from None
    return parsed


def config_paths(environ: Mapping[str, str]) -> tuple[str, str]:
    """Of the config and the credentials file."""

    def path(variable: str, default: str) -> str:
        text = os.path.expandvars(environ.get(variable) or default)
        return os.path.expanduser(text)  # noqa: PTH111 - a Path raises where nobody has a home

    return path("AWS_CONFIG_FILE", "~/.aws/config"), path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")


def profile_not_found(name: str, environ: Mapping[str, str]) -> RunError:
    """The error for a profile that no file has."""
    config_path, credentials_path = config_paths(environ)
    return RunError(
        f"profile {name!r} is neither in {config_path} nor in {credentials_path}: "
        "check its name with `aws configure list-profiles`",
        FailureKind.CREDENTIALS,
    )
