"""What a refusal that every object meets probably comes from, in words for whoever has to mend it. Pure."""

from __future__ import annotations

from s3_upload.errors import FailureKind
from s3_upload.s3.responses import Failure
from s3_upload.urls import shown

NO_S3 = "this does not look like an S3 endpoint: check its URL, the port too (a console has another)"
_OF_CODE = {
    "AccessControlListNotSupported": "the bucket takes no ACLs: leave acl and grants out",
    "InvalidAccessKeyId": "the store does not know the access key: it may be another store's",
    "InvalidBucketName": "no bucket can have that name there: correct it",
    "InvalidStorageClass": "the store has no such storage class: correct it or leave it out",
    "NoSuchAccessPoint": "there is no such access point, or it is in another region or account",
    "SignatureDoesNotMatch": "the secret key is probably wrong",
}
_OF_STATUS = {
    401: "the store, or a proxy before it, asks for another kind of authentication than S3's signatures",
    407: "a proxy on the way wants a user and password, and none is known here (--proxy, HTTP_PROXY)",
    501: NO_S3,
}
_OF_KIND = {
    FailureKind.NOT_S3: NO_S3,
    FailureKind.UNPROVEN: NO_S3,
    FailureKind.STORE_FULL: "the store, or what it allows this account, is full",
}

CHECKSUMS_NOT_TAKEN = {
    "all": "",
    "no-type": "the store knows no types of checksums: none is named from now on",
    "none": "the store does not support checksums: they are left out from now on",
    "md5": "the store wants a checksum of every body: Content-MD5 goes with each from now on",
}
"""By what a client tells from now on: what is said of it."""


def likely_cause(failure: Failure) -> str:
    """A phrase, "" where what the store said has to do."""
    if failure.kind is FailureKind.MOVED:
        return f"it redirects to {shown(failure.location)!r}"
    if failure.kind is FailureKind.CREDENTIALS and failure.code == "InvalidArgument":
        return "the access key is of another kind than this store's"
    return _OF_CODE.get(failure.code) or _OF_KIND.get(failure.kind, "") or _OF_STATUS.get(failure.status, "")


def wrong_clock(ahead_s: float) -> str:
    """What is said of a machine whose clock is `ahead_s` ahead of the store's, or behind."""
    side = "ahead of" if ahead_s > 0.0 else "behind"
    return f"this machine's clock is {abs(ahead_s):.0f} s {side} the store's"


def joined(*phrases: str) -> str:
    """One line of those that say something. What a store says may end with a full stop, which no other
    phrase follows."""
    said = [phrase for phrase in phrases if phrase]
    return "; ".join([*(phrase.removesuffix(".") for phrase in said[:-1]), *said[-1:]])


def words_of(failure: Failure) -> str:
    """What the store said: status, code and message."""
    if failure.kind is FailureKind.UNPROVEN:
        return failure.message
    return " ".join(filter(None, (str(failure.status), failure.code, failure.message)))
