"""Which redirects are followed: to the same store under another name, and nowhere else."""

from __future__ import annotations

import pytest

from s3_upload.s3.endpoint import endpoint_for
from s3_upload.s3.redirect import is_upgrade, redirected

BUCKET, KEY = "bkt", "a b/c+d"
PATH = "bkt/a%20b/c%2Bd"
S3 = "https://s3.example.com"
VIRTUAL = "https://bkt.s3.example.com/a%20b/c%2Bd"
FOLLOWED = [
    # the endpoint, where it redirects to, where requests go then
    (S3, f"https://s3.example.com:9000/{PATH}", "https://s3.example.com:9000/bkt"),
    (S3, f"https://eu.s3.example.com/{PATH}", "https://eu.s3.example.com/bkt"),
    (S3, f"https://s3.eu.example.com/{PATH}", "https://s3.eu.example.com/bkt"),
    (S3, f"https://s3-eu.example.com/{PATH}", "https://s3-eu.example.com/bkt"),
    (S3, VIRTUAL, "https://bkt.s3.example.com"),
    (S3, "https://bkt.s3.eu.example.com/a%20b/c%2Bd?uploads=#x", "https://bkt.s3.eu.example.com"),
    (S3, f"https://s3.example.com/base/{PATH}", "https://s3.example.com/base/bkt"),
    (S3, "https://S3.Example.com:443/new/bkt/a%20b/c+d", "https://s3.example.com/new/bkt"),
    (S3, "//s3.eu.example.com", "https://s3.eu.example.com/bkt"),
    (S3, "//bkt.s3.eu.example.com", "https://bkt.s3.eu.example.com"),
    ("https://minio.example.co.uk", f"https://minio.x.example.co.uk/{PATH}", "https://minio.x.example.co.uk/bkt"),
    ("http://127.0.0.1:9000", f"http://127.0.0.1:9001/{PATH}", "http://127.0.0.1:9001/bkt"),
    ("http://[::1]:9000", f"http://[::1]:9001/{PATH}", "http://[::1]:9001/bkt"),
    ("http://store", f"http://store:81/{PATH}", "http://store:81/bkt"),
]  # fmt: skip
NOT_FOLLOWED = [
    (S3, ""),
    (S3, "nonsense"),
    (S3, f"/{PATH}"),
    (S3, f"{S3}/{PATH}"),  # where it went
    (S3, f"http://s3.example.com/{PATH}"),  # in clear
    ("http://s3.example.com", f"https://s3.example.com/{PATH}"),
    (S3, f"ftp://s3.example.com/{PATH}"),
    (S3, f"https://s3.example.com@evil.example/{PATH}"),
    (S3, f"https://user:secret@s3.eu.example.com/{PATH}"),
    (S3, f"https://evil.example/{PATH}"),
    (S3, f"https://s3.evil.example/{PATH}"),
    (S3, f"https://s3.example.com.evil.example/{PATH}"),
    (S3, f"https://evils3.example.com/{PATH}"),
    (S3, f"https://login.example.com/{PATH}"),
    (S3, f"https://s3example.com/{PATH}"),
    (S3, f"https://com/{PATH}"),
    (S3, f"https://203.0.113.1/{PATH}"),
    (S3, "https://s3.eu.example.com/login"),
    (S3, "https://s3.eu.example.com/other/a%20b/c%2Bd"),
    (S3, "https://s3.eu.example.com/bkt/other"),
    (S3, "https://s3.eu.example.com/a%20b/c%2Bd"),
    (S3, f"https://s3.eu.example.com/{PATH}/"),
    (S3, "//evil.example"),
    (S3, "//"),
    ("https://s3.co.uk", f"https://s3.evil.co.uk/{PATH}"),
    ("https://minio.example.co.uk", f"https://minio.evil.co.uk/{PATH}"),
    ("http://127.0.0.1:9000", f"http://127.0.0.2:9000/{PATH}"),
    ("http://127.0.0.1", f"http://s3.127.0.0.1/{PATH}"),
    ("http://store", f"http://s3.store/{PATH}"),
    ("http://store", f"http://other/{PATH}"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "location", "there"), FOLLOWED)
def test_the_same_store_under_another_name_is_followed(url: str, location: str, there: str) -> None:
    found = redirected(endpoint_for(BUCKET, "r", url), location, bucket=BUCKET, key=KEY)
    assert found is not None
    assert found.url == there


@pytest.mark.parametrize(("url", "location"), NOT_FOLLOWED)
def test_nothing_else_is(url: str, location: str) -> None:
    assert redirected(endpoint_for(BUCKET, "r", url), location, bucket=BUCKET, key=KEY) is None


@pytest.mark.parametrize(
    ("location", "followed"),
    [
        ("https://bkt.s3-us-west-2.amazonaws.com/k", True),
        ("https://bkt.s3.eu-west-1.amazonaws.com/k", True),
        ("https://s3.eu-west-1.amazonaws.com/bkt/k", True),
        ("//bkt.s3.eu-west-1.amazonaws.com", True),
        ("https://other.s3.eu-west-1.amazonaws.com/k", False),
        ("https://bkt.s3-fips.eu-west-1.amazonaws.com/k", False),
        ("https://bkt.s3.cn-north-1.amazonaws.com.cn/k", False),
        ("https://ec2.amazonaws.com/bkt/k", False),
        ("https://s3.eu-west-1.amazonaws.com/k", False),
        ("https://s3-other.s3.eu-west-1.amazonaws.com/k", False),
    ],
)
def test_of_aws(location: str, followed: bool) -> None:
    used = endpoint_for(BUCKET, "us-east-1")
    assert (redirected(used, location, bucket=BUCKET, key="k") is not None) == followed


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("//minio.eu.example.com", "https://minio.eu.example.com/minio"),
        ("https://minio.eu.example.com/minio/k", "https://minio.eu.example.com/minio"),
        ("//minio.minio.eu.example.com", "https://minio.minio.eu.example.com"),
        ("//minio.s3.eu.minio.example.com", "https://minio.s3.eu.minio.example.com"),
        ("https://minio.eu.example.com/k", ""),
        ("https://login.example.com/minio/k", ""),
    ],
)
def test_a_bucket_of_the_hosts_own_name_is_still_named(location: str, there: str) -> None:
    found = redirected(
        endpoint_for("minio", "r", "https://minio.example.com", "path"), location, bucket="minio", key="k"
    )
    assert (found.url if found is not None else "") == there


def test_an_access_point_keeps_its_name_and_no_other_takes_its_place() -> None:
    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/ap"
    used = endpoint_for(arn, "us-east-1")
    for front, followed in (("ap-123456789012.", True), ("other-123456789012.", False), ("", False)):
        location = f"https://{front}s3-accesspoint.eu-west-1.amazonaws.com/k"
        assert (redirected(used, location, bucket=arn, key="k") is not None) == followed


def test_https_at_the_same_place_is_for_the_user_to_choose() -> None:
    used = endpoint_for(BUCKET, "r", "http://s3.example.com")
    assert is_upgrade(used, "https://s3.example.com/bkt/k")
    assert is_upgrade(used, "https://s3.example.com:9443/")
    for location in ("https://login.example.com/", "http://s3.example.com/", "https://", "/x", ""):
        assert not is_upgrade(used, location)
    assert not is_upgrade(endpoint_for(BUCKET, "r", S3), f"{S3}:1/")
