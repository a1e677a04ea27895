"""s3-upload: uploads any number of files to S3, fast, without hanging, losing or hiding anything."""

from s3_upload.client import S3Client
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
from s3_upload.report import AttemptReport, UploadReport, UploadSummary
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations import RequestFields
from s3_upload.source import ObjectSource, files_recursive
from s3_upload.upload import s3_upload_files

__version__ = "0.1.0"

__all__ = [
    "AttemptError",
    "AttemptReport",
    "ConfigError",
    "Credentials",
    "FailureKind",
    "ObjectSource",
    "RequestFields",
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
    "files_recursive",
    "s3_upload_files",
]
