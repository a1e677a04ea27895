"""The words of a usual upload, read without the parser: no flags, or some of the most common ones.

Loading the parser and having it read all that may be said takes 200 ms, as long as all else about a small
upload.  What is not certainly understood here is left to it, and so is all that is wrong: it has the
messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_upload.cli.names import COMMANDS, OWN_VARIABLES
from s3_upload.cli.options.from_profile import readable_profile, tuning_of
from s3_upload.cli.options.objects import ObjectOptions
from s3_upload.cli.options.store import StoreOptions
from s3_upload.cli.options.upload import JournalOptions, OutputOptions, SourceOptions, UploadOptions
from s3_upload.config import UploadConfig
from s3_upload.errors import S3UploadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GROUPS = {
    "sources": SourceOptions,
    "store": StoreOptions,
    "output": OutputOptions,
    "objects": ObjectOptions,
    "journal": JournalOptions,
}
SWITCHES = {
    "--recursive": ("sources", "recursive"),
    "-r": ("sources", "recursive"),
    "--no-sign-request": ("store", "no_sign_request"),
    "--no-verify-ssl": ("store", "no_verify_ssl"),
    "--create-bucket": ("store", "create_bucket"),
    "--no-progress": ("output", "no_progress"),
    "--quiet": ("output", "quiet"),
    "-q": ("output", "quiet"),
    "--only-show-errors": ("output", "only_show_errors"),
    "--json": ("output", "json"),
    "--verbose": ("output", "verbose"),
    "-v": ("output", "verbose"),
    "--if-none-match": ("objects", "if_none_match"),
    "--no-clobber": ("objects", "no_clobber"),
    "--no-journal": ("journal", "no_journal"),
}
"""Flags without a value: which field each is."""
TEXTS = {
    "--endpoint-url": ("store", "endpoint_url"),
    "--region": ("store", "region"),
    "--profile": ("store", "profile"),
    "--ca-bundle": ("store", "ca_bundle"),
    "--content-type": ("objects", "content_type"),
    "--cache-control": ("objects", "cache_control"),
    "--acl": ("objects", "acl"),
    "--storage-class": ("objects", "storage_class"),
    "--journal": ("journal", "journal"),
}
"""Flags with a value that is any text."""


def read(words: Sequence[str], environ: Mapping[str, str]) -> tuple[tuple[str, ...], UploadOptions] | None:
    """The words that are no flags, and what the flags say; None where the parser is to read them."""
    if not words or words[0] in COMMANDS or any(name.startswith(OWN_VARIABLES) for name in environ):
        return None
    said = _said(words)
    if said is None:
        return None
    rest, given = said
    try:
        profile = readable_profile(given["store"].get("profile"), environ)
        if profile is not None and tuning_of(profile, environ, UploadConfig.max_in_flight_bytes):
            return None
        options: dict[str, Any] = {name: kind(**given[name]) for name, kind in GROUPS.items()}
        return rest, UploadOptions(**options)
    except S3UploadError:
        return None


def _said(words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]] | None:
    """The words that are no flags, and the values of fields, by group."""
    rest: list[str] = []
    given: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    following = iter(words)
    for word in following:
        if word and not word.startswith("-"):
            rest.append(word)
            continue
        value: bool | str = True
        found = SWITCHES.get(word)
        if found is None:
            name, equals, text = word.partition("=")
            found = TEXTS.get(name)
            value = text if equals else next(following, "")
        if found is None or not value or str(value).startswith("-"):
            return None
        group, field = found
        if field in given[group]:  # twice
            return None
        given[group][field] = value
    return tuple(rest), given
