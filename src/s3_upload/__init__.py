"""s3-upload: uploads any number of files to S3, fast, without hanging, losing or hiding anything.

The public names are loaded when they are first used (PEP 562), so that importing the package, as
every start of the command does, costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3_upload.api import s3_upload_files
    from s3_upload.client import S3Client
    from s3_upload.config import UploadConfig
    from s3_upload.content_type import content_type_by_name
    from s3_upload.errors import (
        AttemptError,
        ConfigError,
        FailureKind,
        RunError,
        S3UploadError,
        SourceError,
        UploadError,
        UploadsFailed,
    )
    from s3_upload.filters import Filters, Rule
    from s3_upload.pace import Pace
    from s3_upload.report import AttemptReport, PaceReport, UploadReport, UploadSummary
    from s3_upload.request_fields import CustomerKey, RequestFields
    from s3_upload.s3.credentials import Credentials
    from s3_upload.source import ObjectSource, files_recursive

__version__ = "0.1.0"

__all__ = [
    "AttemptError",
    "AttemptReport",
    "ConfigError",
    "Credentials",
    "CustomerKey",
    "FailureKind",
    "Filters",
    "ObjectSource",
    "Pace",
    "PaceReport",
    "RequestFields",
    "Rule",
    "RunError",
    "S3Client",
    "S3UploadError",
    "SourceError",
    "UploadConfig",
    "UploadError",
    "UploadReport",
    "UploadSummary",
    "UploadsFailed",
    "__version__",
    "content_type_by_name",
    "files_recursive",
    "s3_upload_files",
]

_NAMES_IN = {
    "client": ("S3Client",),
    "config": ("UploadConfig",),
    "content_type": ("content_type_by_name",),
    "errors": (
        "AttemptError", "ConfigError", "FailureKind", "RunError", "S3UploadError", "SourceError",
        "UploadError", "UploadsFailed",
    ),
    "filters": ("Filters", "Rule"),
    "pace": ("Pace",),
    "report": ("AttemptReport", "PaceReport", "UploadReport", "UploadSummary"),
    "s3.credentials": ("Credentials",),
    "request_fields": ("CustomerKey", "RequestFields"),
    "source": ("ObjectSource", "files_recursive"),
    "api": ("s3_upload_files",),
}  # fmt: skip

if not TYPE_CHECKING:  # or a type checker would take any name for a public one

    def __getattr__(name: str) -> object:
        for module, names in _NAMES_IN.items():
            if name in names:
                from importlib import import_module

                value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
