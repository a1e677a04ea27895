"""What paths are mapped to, as one call: for tests that are about nothing else of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_upload.sources.mapping import Choice, Mapped
from s3_upload.sources.ordering import BY_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_upload.sources.mapping import Destination
    from s3_upload.sources.selecting import Selection
    from s3_upload.sources.source import ObjectSource
    from s3_upload.sources.walk import Entry, Listings


def map_paths(
    paths: Sequence[str],
    destination: Destination,
    filters: Selection | None = None,
    listings: Listings | None = None,
    *,
    follow_symlinks: bool = True,
    in_order: bool = False,
) -> Iterator[ObjectSource]:
    """`Mapped.files`. `in_order`: not in that of the paths, but in that of the keys, which is S3's."""
    order = BY_KEY if in_order else None
    choice = Choice(filters=filters, follow_symlinks=follow_symlinks, order=order)
    return Mapped(paths, destination, choice, listings).files()


def walk_paths(
    paths: Sequence[str],
    destination: Destination,
    filters: Selection | None,
    listings: Listings | None,
    *,
    follow_symlinks: bool = True,
) -> Iterator[Entry]:
    """`Mapped.entries`."""
    choice = Choice(filters=filters, follow_symlinks=follow_symlinks)
    return Mapped(paths, destination, choice, listings).entries()
