"""`s3-upload config`: each setting in force, its value, and where it came from.

Secrets are masked as `aws configure list` masks them: all but the last four characters.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from typing import TYPE_CHECKING, NamedTuple

from s3_upload.account.botocore import chain_provider, credentials_from_environment, credentials_from_files
from s3_upload.account.profile import config_paths, read_profile, set_variables
from s3_upload.account.settings import Settings, resolve_settings
from s3_upload.cli.options import from_profile
from s3_upload.cli.output import EXIT_OK, emit, emit_json, require_stdout
from s3_upload.cli.views.render import json_line
from s3_upload.config import UploadConfig
from s3_upload.errors import ConfigError, RunError
from s3_upload.proxy import parse_proxy
from s3_upload.text import printable
from s3_upload.units import show_size, show_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_upload.cli.options.store import StoreOptions
    from s3_upload.cli.options.upload import UploadOptions
    from s3_upload.s3.credentials import Credentials

DEFAULT = "default"
FLAG = "flag"
ENVIRONMENT = "environment"
_SHOWN_CHARS = 4


class Row(NamedTuple):
    """One setting."""

    name: str
    value: str
    origin: str


def masked(secret: str) -> str:
    """As `aws configure list` does; nothing of what is short."""
    return "*" * 16 + (secret[-_SHOWN_CHARS:] if len(secret) > 2 * _SHOWN_CHARS else "")


def show(options: UploadOptions) -> int:
    """Writes the rows: in columns, or a JSON line each. Raises `S3UploadError` for what no upload takes."""
    rows = list(_rows(options))
    if options.output.json:
        require_stdout("--json")
        for row in rows:
            emit_json(json_line(row._asdict()))
        return EXIT_OK
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for row in rows:
        line = f"{row.name:<{widths[0]}}  {row.value or '-':<{widths[1]}}  {row.origin}"
        emit(printable(line.rstrip()))
    return EXIT_OK


def _rows(options: UploadOptions) -> Iterator[Row]:
    store = options.store
    origins: dict[str, str] = {}
    settings = resolve_settings(**store.settings(), origins=origins)
    profile = read_profile(store.profile, os.environ)
    yield Row("profile", profile.name or "default", profile.named_by or DEFAULT)
    paths = config_paths(set_variables(os.environ))
    for name, path in zip(("config_file", "shared_credentials_file"), paths, strict=True):
        variable = f"AWS_{name.upper()}"
        there = "" if os.path.isfile(path) else " (not there)"  # noqa: PTH113 - a Path raises
        yield Row(name, path + there, variable if os.environ.get(variable) else DEFAULT)
    yield from _credentials(store, settings)
    for name, value in _of_store(settings):
        yield Row(name, value, origins.get(name, DEFAULT))
    for scheme in ("http", "https"):
        origin, url = settings.proxies.by_scheme.get(scheme, (DEFAULT, ""))
        shown = parse_proxy(url, origin).url if url else ""
        yield Row(f"{scheme}_proxy", shown, FLAG if settings.proxies.by_argument else origin)
    yield from _tuning(options.config())
    for name, value in (
        ("processes", str(options.processes)),
        ("cluster", options.cluster or ""),
        ("no_journal", _word(on=options.journal.no_journal)),
    ):
        yield Row(name, value, from_profile.origins.get(name, DEFAULT))


def _of_store(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "region", settings.region
    yield "endpoint_url", settings.endpoint_url or ""
    yield "addressing_style", settings.addressing_style
    for name in ("accelerate", "dualstack", "fips"):
        yield f"use_{name}_endpoint", _word(on=getattr(settings.variant, name))
    verify = settings.verify
    yield (
        "ca_bundle",
        verify if isinstance(verify, str) else "" if verify else "(certificates are not checked)",
    )
    yield "checksum", settings.checksum
    yield "payload_signing", settings.payload_signing
    yield "sdk_ua_app_id", settings.app_id
    yield "global_endpoint", _word(on=settings.variant.is_global)
    yield "use_arn_region", _word(on=settings.arn_region)
    yield "express_session_auth", _word(on=settings.express_sessions)


def _word(*, on: bool) -> str:
    return "true" if on else "false"


def _credentials(store: StoreOptions, settings: Settings) -> Iterator[Row]:
    names = {
        "access_key": "AWS_ACCESS_KEY_ID",
        "secret_key": "AWS_SECRET_ACCESS_KEY",
        "session_token": "AWS_SESSION_TOKEN",
    }
    found: Credentials | None = None
    if store.no_sign_request:
        origin = f"{FLAG}: requests go unsigned"
    else:
        found, origin = _found(store, settings)
    for name, variable in names.items():
        secret = getattr(found, name, None)
        if secret or name != "session_token":
            yield Row(name, masked(secret) if secret else "", variable if origin == ENVIRONMENT else origin)


def _found(store: StoreOptions, settings: Settings) -> tuple[Credentials | None, str]:
    """The credentials that an upload would use, and what the chain calls their place."""
    profile = store.profile
    if profile is None and (found := credentials_from_environment()) is not None:
        return found, ENVIRONMENT
    if (found := credentials_from_files(profile)) is not None:
        return found, read_profile(profile, os.environ).origin("aws_access_key_id")
    provider = chain_provider(profile, store.region, settings.proxies)
    try:
        return asyncio.run(provider.refresh()), provider.method
    except (ConfigError, RunError) as error:
        return None, str(error)


def _tuning(config: UploadConfig) -> Iterator[Row]:
    shows = {"Size": show_size, "Seconds": show_time}
    for spec in dataclasses.fields(UploadConfig):
        value = getattr(config, spec.name)
        yield Row(
            spec.name,
            shows[spec.type](value) if spec.type in shows else str(value),
            from_profile.origins.get(spec.name, DEFAULT),
        )
