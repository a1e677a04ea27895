"""From the words of the command line to sources and keys, which `mapping.py` knows.

What comes in by stdin ("-") has no name: the destination names its key.  What can be known to be wrong is
said before anything is uploaded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from s3_upload.cli.output import UsageError
from s3_upload.cli.stdin import STDIN, chunks, stdin_fd
from s3_upload.sources.mapping import Destination, is_s3_url
from s3_upload.sources.source import ObjectSource, utf8_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def split_words(words: Sequence[str], commands: Sequence[str]) -> tuple[list[str], Destination]:
    """The sources and the destination of `s3-upload SRC... s3://BUCKET/PREFIX`.

    `cp` and `upload` may stand before them.  Raises `UsageError` and `ConfigError`; a first word that is
    almost one of `commands` is taken for a typing error.
    """
    if words and not os.path.lexists(words[0]):
        # Here and below, or every start of the command would pay for it.
        from s3_upload.cli.mistakes import without_alias

        words = without_alias(words, commands)
    if not words:
        raise UsageError("nothing to do: give SRC... and s3://BUCKET/PREFIX (s3-upload --help tells more)")
    *paths, url = words
    if not is_s3_url(url):
        from s3_upload.cli.mistakes import no_destination

        raise no_destination(words, commands)
    destination = Destination.parse(utf8_of(url))
    if not paths:
        raise UsageError(
            f"{url}: the source is missing: give files or directories before the destination, or - for what "
            "comes in by stdin"
        )
    if any(is_s3_url(path) for path in paths):
        from s3_upload.cli.mistakes import COPIES

        raise UsageError(f"{paths[0]}: a source is a file or a directory: {COPIES}")
    return paths, destination


def stdin_source(paths: Sequence[str], destination: Destination) -> ObjectSource:
    """What comes in by stdin. Raises `UsageError` if it is not alone in `paths`, or has no key."""
    key = destination.prefix
    if len(paths) > 1:
        raise UsageError("-: stdin goes alone (./- is a file of that name)")
    if not key or key.endswith("/"):
        raise UsageError(
            f"s3://{destination.bucket}/{key}: stdin has no name: give the whole key, as in "
            f"s3://{destination.bucket}/{key}NAME"
        )
    return ObjectSource.stream(chunks(stdin_fd()), key)


def refuse_overlap(paths: Sequence[str], store_dir: str) -> None:
    """Raises `UsageError` if the embedded store would keep its objects inside one of the sources:
    the upload would feed on itself."""
    store = os.path.realpath(store_dir)
    for path in paths:
        if path == STDIN:
            continue
        source = os.path.realpath(path)
        if os.path.commonpath((store, source)) == source:
            raise UsageError(
                f"--embedded {store_dir}: lies in the source {path}: take a directory outside of it"
            )
