"""The account's buckets, for a shell that completes s3:// (`s3-upload completion-buckets LINE`).

Rules: somebody waits for it in the middle of typing, so it is over within `TIMEOUT_S`, whatever hangs; it
writes names or nothing; it asks no question.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from s3_upload.account.botocore import credentials_from_environment, credentials_from_files
from s3_upload.cli.options.flags import all_flags
from s3_upload.cli.output import EXIT_OK, emit
from s3_upload.errors import ConfigError
from s3_upload.sources.mapping import check_bucket

if TYPE_CHECKING:
    from s3_upload.cli.options.store import StoreOptions
    from s3_upload.s3.credentials import Credentials

TIMEOUT_S = 1.5
"""For account and answer; with the start of Python less than 2 s."""


def tell_buckets(line: str) -> int:
    """Writes `s3://NAME/` for each bucket of the store that `line`, or else environment and files name."""
    _ask_nobody()
    with suppress(Exception):  # whatever it is: there is nobody to tell, and nothing to complete
        options = store_options(line)
        late = threading.Timer(TIMEOUT_S, os._exit, (EXIT_OK,))
        late.daemon = True
        late.start()
        names = asyncio.run(_names(options))
        # What no bucket is called is nothing that a shell should get to see, either.
        if urls := [f"s3://{name}/" for name in names if _is_name(name)]:
            emit("\n".join(urls))
    return EXIT_OK


def store_options(line: str) -> StoreOptions:
    """Which store the flags in `line` name. Raises `ValueError` where only the shell knows, and others."""
    from s3_upload.cli.options.store import StoreOptions

    flags = {name: flag for flag in all_flags() if flag.topic == "store" for name in flag.names}
    words = iter(_words(line))
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        flag = flags.get(name)
        if flag is not None and flag.metavar:
            given[flag.field] = _expanded(value if equals else next(words, ""))
        elif flag is not None:
            given[flag.field] = True
    return StoreOptions(**given)


def _words(line: str) -> list[str]:
    """As a shell takes `line` apart; the word at the cursor may have a quote that does not end yet."""
    for end in ("", '"', "'"):
        with suppress(ValueError):
            return shlex.split(line + end)
    return []


def _expanded(value: str) -> str:
    value = os.path.expandvars(os.path.expanduser(value))  # noqa: PTH111 - a text, and perhaps a URL
    if "$" in value or "`" in value:
        raise ValueError(value)  # or another store than the one that is meant would be asked
    return value


async def _names(options: StoreOptions) -> list[str]:
    from s3_upload.cli.store import open_store

    if options.embedded is not None:
        return []
    with open_store(options, "") as connect:
        credentials = _at_hand(options)
        async with connect(credentials=credentials) if credentials is not None else connect() as client:
            return await client.list_buckets()


def _at_hand(options: StoreOptions) -> Credentials | None:
    """Keys in a profile's section, without botocore's session, whose import alone takes half of the time."""
    if options.no_sign_request or (options.profile is None and credentials_from_environment() is not None):
        return None
    return credentials_from_files(options.profile)


def _is_name(name: str) -> bool:
    try:
        check_bucket(name, name)
    except ConfigError:
        return False
    return True


def _ask_nobody() -> None:
    """Leaves the terminal: for some accounts botocore would ask there for a code."""
    with suppress(OSError, AttributeError):
        os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
