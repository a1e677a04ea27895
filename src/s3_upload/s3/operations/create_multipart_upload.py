"""CreateMultipartUpload: begins an object in parts, and says all that is to be known of it but its bytes.

Its answer names the upload, whose ID goes with every later request.  Sent twice it makes two uploads.
"""

from __future__ import annotations

from s3_upload.http import Response
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall, Twice
from s3_upload.s3.xml import Xml, element, identifier, read, written


def upload_id(response: Response, said: Xml | None = None) -> str:
    """The upload ID in a CreateMultipartUpload response, "" if there is none. `said`: its body, as read."""
    return identifier((read(response) if said is None else said).text("UploadId"))


KIND = OperationKind(
    name="CreateMultipartUpload",
    method="POST",
    query=lambda operation: "uploads=",
    fields=frozenset({"object", "customer key", "request"}),
    proof=Proof("an upload ID", upload_id),
    twice=Twice.DIFFERS,
    sdk=SdkCall(
        "create_multipart_upload",
        answer=lambda answer: element("CreateMultipartUploadResult", written(answer, ("UploadId",))),
    ),
)
