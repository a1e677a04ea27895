"""s3-upload: uploads any number of files to S3, fast, without hanging, losing or hiding anything.

The public names are loaded when they are first used (PEP 562), so that importing the package, as
every start of the command does, costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3_upload.account.settings import ChecksumMode, PayloadSigning
    from s3_upload.api import DefaultRequest, s3_upload_files
    from s3_upload.bucket.verify import Mark, Verified
    from s3_upload.calls import start_upload, upload, upload_async
    from s3_upload.clients.s3 import S3Client
    from s3_upload.config import UploadConfig
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
    from s3_upload.given import UploadSources
    from s3_upload.http1.resolve import LookUp
    from s3_upload.http1.tls import ClientCertificate
    from s3_upload.job import Keywords, Settings, Taken
    from s3_upload.observe.events import (
        AttemptEnded,
        BytesAcknowledged,
        Event,
        LimitsChanged,
        Listener,
        Listening,
        ObjectBegun,
        ObjectEnded,
        PartStored,
        StoreAway,
        StoreBack,
        UploadCreated,
    )
    from s3_upload.observe.journal import Journal
    from s3_upload.pace import Pace, Share
    from s3_upload.report import AttemptReport, PaceReport, UploadReport, UploadSummary
    from s3_upload.request_fields import CustomerKey, RequestFields
    from s3_upload.running import Running
    from s3_upload.s3.credentials import CredentialProvider, Credentials
    from s3_upload.s3.endpoint import AddressingStyle
    from s3_upload.s3.operations.list_objects_v2 import ListedObject
    from s3_upload.sources.content_type import content_type_by_name
    from s3_upload.sources.filters import Rule
    from s3_upload.sources.selecting import Filter
    from s3_upload.sources.source import BinaryFile, Chunk, Chunks, ObjectSource
    from s3_upload.sources.walk import files_recursive
    from s3_upload.syncing import list_objects, sync_files, verify_files
    from s3_upload.transfer.client import Client
    from s3_upload.transfer.outages import Notice
    from s3_upload.transfer.progress import Progress
    from s3_upload.transfer.pulling import Sources

__version__ = "0.1.0"

__all__ = [
    "AddressingStyle", "AttemptEnded", "AttemptError", "AttemptReport", "BinaryFile", "BytesAcknowledged",
    "ChecksumMode", "Chunk", "Chunks", "Client", "ClientCertificate", "ConfigError", "CredentialProvider",
    "Credentials", "CustomerKey", "DefaultRequest", "Event", "FailureKind", "Filter", "Journal",
    "Keywords", "LimitsChanged", "ListedObject", "Listener", "Listening", "LookUp", "Mark", "Notice",
    "ObjectBegun", "ObjectEnded", "ObjectSource", "Pace", "PaceReport", "PartStored", "PayloadSigning",
    "Progress", "RequestFields", "Rule", "RunError", "Running", "S3Client", "S3UploadError", "Settings",
    "Share", "SourceError", "Sources", "StoreAway", "StoreBack", "Taken", "UploadConfig", "UploadCreated",
    "UploadError", "UploadReport", "UploadSources", "UploadSummary", "UploadsFailed", "Verified",
    "__version__", "content_type_by_name", "files_recursive", "list_objects", "s3_upload_files",
    "start_upload", "sync_files", "upload", "upload_async", "verify_files",
]  # fmt: skip

_NAMES_IN = {
    "api": ("DefaultRequest", "s3_upload_files",),
    "bucket.verify": ("Mark", "Verified",),
    "calls": ("start_upload", "upload", "upload_async",),
    "clients.s3": ("S3Client",),
    "config": ("UploadConfig",),
    "sources.content_type": ("content_type_by_name",),
    "transfer.client": ("Client",),
    "transfer.pulling": ("Sources",),
    "transfer.outages": ("Notice",),
    "transfer.progress": ("Progress",),
    "errors": (
        "AttemptError", "ConfigError", "FailureKind", "RunError", "S3UploadError", "SourceError",
        "UploadError", "UploadsFailed",
    ),
    "sources.filters": ("Rule",),
    "sources.selecting": ("Filter",),
    "given": ("UploadSources",),
    "job": ("Keywords", "Settings", "Taken"),
    "observe.events": (
        "AttemptEnded", "BytesAcknowledged", "Event", "LimitsChanged", "Listener", "Listening",
        "ObjectBegun", "ObjectEnded", "PartStored", "StoreAway", "StoreBack", "UploadCreated",
    ),
    "observe.journal": ("Journal",),
    "pace": ("Pace", "Share",),
    "report": ("AttemptReport", "PaceReport", "UploadReport", "UploadSummary",),
    "request_fields": ("CustomerKey", "RequestFields",),
    "running": ("Running",),
    "s3.credentials": ("CredentialProvider", "Credentials",),
    "s3.endpoint": ("AddressingStyle",),
    "s3.operations.list_objects_v2": ("ListedObject",),
    "account.settings": ("ChecksumMode", "PayloadSigning"),
    "sources.source": ("BinaryFile", "Chunk", "Chunks", "ObjectSource",),
    "sources.walk": ("files_recursive",),
    "syncing": ("list_objects", "sync_files", "verify_files",),
    "http1.resolve": ("LookUp",),
    "http1.tls": ("ClientCertificate",),
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
