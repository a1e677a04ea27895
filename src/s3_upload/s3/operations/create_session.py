"""CreateSession: credentials of five minutes for one directory bucket (S3 Express One Zone).

It is signed with the account's credentials; what it gives signs all other requests to that bucket
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html).  How long it lives is counted by the
store's own clock: from the answer's `Date` to the expiration.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.dates import date_s
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall
from s3_upload.s3.xml import read

USUAL_LIFE_S = 300.0
"""Of a session whose end cannot be read."""


class Session(msgspec.Struct, frozen=True):
    """`credentials` are good for `life_s` from when they came."""

    credentials: Credentials
    life_s: float


def session_in(answer: Response, utc_s: float) -> Session:
    """The session that a CreateSession's answer holds, which came at `utc_s`.

    Raises `AttemptError` where its credentials are none; no message quotes one.
    """
    said = read(answer)
    parts = (said.text(name).strip() for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    try:
        credentials = Credentials(*parts)
    except ValueError as error:
        message = f"the session that the store gave cannot be used: {error}"
        raise AttemptError(FailureKind.UNPROVEN, message) from None
    try:
        end_s = datetime.fromisoformat(said.text("Expiration").strip()).timestamp()
    except (ValueError, OverflowError):
        return Session(credentials, USUAL_LIFE_S)
    sent_s = date_s(answer.headers.get("date", ""))
    life_s = end_s - (utc_s if sent_s is None else sent_s)
    # One that has just come has not ended: it is what is taken for the time that is wrong.
    return Session(credentials, life_s if life_s > 0.0 else USUAL_LIFE_S)


KIND = OperationKind(
    name="CreateSession",
    method="GET",
    names_key=False,
    query=lambda operation: "session=",
    headers={"x-amz-create-session-mode": "ReadWrite"},
    proof=Proof("credentials", lambda response, said: said.text("SessionToken")),
    sdk=SdkCall("create_session", lambda operation: {"SessionMode": "ReadWrite"}),
)
