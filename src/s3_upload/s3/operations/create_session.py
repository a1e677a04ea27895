"""CreateSession: credentials of five minutes for one directory bucket (S3 Express One Zone).

It is signed with the account's credentials; what it gives signs all other requests to that bucket
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html).
"""

from __future__ import annotations

from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall

KIND = OperationKind(
    name="CreateSession",
    method="GET",
    names_key=False,
    query=lambda operation: "session=",
    headers={"x-amz-create-session-mode": "ReadWrite"},
    proof=Proof("credentials", lambda response, said: said.text("SessionToken")),
    sdk=SdkCall("create_session", lambda operation: {"SessionMode": "ReadWrite"}),
)
