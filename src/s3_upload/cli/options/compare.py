"""The flags of `sync` and `verify` beyond those of an upload: what counts as different."""

from __future__ import annotations

from typing import Annotated

from s3_upload.bucket.compare import CompareBy
from s3_upload.cli.options.classes import options_class
from s3_upload.cli.options.objects import flag
from s3_upload.cli.output import UsageError


@options_class(frozen=True, kw_only=True)
class CompareOptions:
    """What counts as different."""

    compare: Annotated[
        CompareBy | None,
        flag("time (the default): another size, or a file newer than its object; size; mtime; checksum."),
    ] = None
    size_only: Annotated[bool, flag("The same as --compare size.")] = False

    def __post_init__(self) -> None:
        if self.size_only and self.compare not in {None, "size"}:
            raise UsageError(f"--size-only and --compare {self.compare} do not go together: leave one out")

    @property
    def by(self) -> CompareBy:
        return "size" if self.size_only else self.compare or "time"


@options_class(frozen=True, kw_only=True)
class VerifyOptions:
    """How to compare, and whom to tell."""

    size_only: Annotated[bool, flag("Compare sizes alone.")] = False
    download: Annotated[bool, flag("Read the objects back, and compare every byte.")] = False
    one_way: Annotated[bool, flag("What only the bucket has is no difference, and is not told.")] = False
    combined: Annotated[
        str | None, flag("Write a line for every key here: =, -, +, * or !, and the key; - for stdout.")
    ] = None

    def __post_init__(self) -> None:
        if self.size_only and self.download:
            raise UsageError("--size-only and --download do not go together: leave one out")
