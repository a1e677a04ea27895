"""What several processes are to do together, as one of them was asked for it."""

from __future__ import annotations

import msgspec

from s3_upload.api import DefaultRequest
from s3_upload.config import UploadConfig
from s3_upload.journaled import Journaled
from s3_upload.pace import Pace
from s3_upload.transfer.outages import Notice
from s3_upload.transfer.progress import Progress


class JobOfMany(msgspec.Struct, frozen=True):
    """The arguments of `s3_upload_files`; `given`: its files and events, with the journal opened."""

    given: Journaled
    config: UploadConfig
    progress: Progress | None = None
    default_request: DefaultRequest | None = None
    pace: Pace | None = None
    notice: Notice | None = None
