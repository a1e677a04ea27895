"""Endpoint URLs that name the bucket, as providers' consoles show them, and those that only seem to."""

from __future__ import annotations

import pytest

from s3_upload.errors import ConfigError
from s3_upload.s3.endpoint import AddressingStyle, endpoint_for

HOSTS = [
    "s3.amazonaws.com", "s3.eu-central-1.amazonaws.com", "s3-eu-west-1.amazonaws.com",
    "s3.dualstack.eu-west-1.amazonaws.com", "s3-fips.us-east-1.amazonaws.com",
    "s3-fips.dualstack.us-gov-west-1.amazonaws.com", "s3-accelerate.amazonaws.com",
    "s3.cn-north-1.amazonaws.com.cn", "fra1.digitaloceanspaces.com", "ewr1.vultrobjects.com",
    "fsn1.your-objectstorage.com", "us-east-1.linodeobjects.com", "s3.eu-central-1.wasabisys.com",
    "s3.us-west-004.backblazeb2.com", "s3.fr-par.scw.cloud", "s3.gra.io.cloud.ovh.net",
    "0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
    "0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
    "s3.eu-central-3.ionoscloud.com", "s3.pub1.infomaniak.cloud", "storage.googleapis.com",
    "s3.eu-de.cloud-object-storage.appdomain.cloud", "storage.yandexcloud.net", "gateway.storjshare.io",
    "fly.storage.tigris.dev", "sos-ch-gva-2.exo.io", "objects-us-east-1.dream.io",
    "oss-eu-central-1.aliyuncs.com", "obs.eu-de.myhuaweicloud.com", "cos.eu-frankfurt.myqcloud.com",
    "s3.localhost.localstack.cloud",
]  # fmt: skip


def url_of(url: str, bucket: str = "photos", style: AddressingStyle = "auto") -> str:
    return endpoint_for(bucket, "eu-central-1", url, style).url


@pytest.mark.parametrize("host", HOSTS)
def test_a_provider_s_url_with_the_bucket_in_front_is_taken_as_it_is(host: str) -> None:
    assert url_of(f"https://photos.{host}") == f"https://photos.{host}"
    assert url_of(f"https://photos.{host}/", style="virtual") == f"https://photos.{host}"
    assert url_of(f"https://photos.{host}", style="path") == f"https://{host}/photos"


@pytest.mark.parametrize("host", HOSTS)
def test_a_provider_s_url_with_the_bucket_behind_is_taken_as_it_is(host: str) -> None:
    accelerates = host.startswith("s3-accelerate")  # and knows no other way of naming a bucket
    taken = f"https://photos.{host}" if accelerates else f"https://{host}/photos"
    assert url_of(f"https://{host}/photos") == taken
    assert url_of(f"https://{host}/photos/", style="virtual") == f"https://photos.{host}"
    assert url_of(f"https://{host}") == taken


@pytest.mark.parametrize("host", HOSTS)
def test_a_provider_s_url_with_another_bucket_is_refused(host: str) -> None:
    for style in ("auto", "path", "virtual"):
        with pytest.raises(ConfigError) as caught:
            url_of(f"https://trash.{host}", style=style)
        assert str(caught.value) == (
            f"endpoint_url: names the bucket 'trash', and the destination is 'photos'; leave the bucket "
            f"out of the URL: https://{host}"
        )
    for path in ("trash", "photos/2026", "trash/photos"):
        with pytest.raises(ConfigError, match=f"endpoint_url: ends in '/{path}', .* use https://{host} "):
            url_of(f"https://{host}/{path}")
    with pytest.raises(ConfigError, match="ends in '/photos'"):
        url_of(f"https://photos.{host}/photos")


@pytest.mark.parametrize(
    ("url", "bucket", "expected"),
    [
        ("http://localhost:9000/photos", "photos", "http://localhost:9000/photos"),
        ("http://localhost:9000/photos/", "photos", "http://localhost:9000/photos"),
        ("http://127.0.0.1:9000/photos", "photos", "http://127.0.0.1:9000/photos"),
        ("https://store.example/storage/v1/s3/photos", "photos", "https://store.example/storage/v1/s3/photos"),
        ("https://photos.s3.store.example", "photos", "https://photos.s3.store.example"),
        ("http://photos.s3.store.example:9000", "photos", "http://photos.s3.store.example:9000"),
        ("http://a.b.s3.store.example", "a.b", "http://a.b.s3.store.example"),
        # no certificate covers two labels
        ("https://www.example.s3.eu-west-1.amazonaws.com", "www.example",
         "https://s3.eu-west-1.amazonaws.com/www.example"),
        ("https://my_photos.s3.store.example", "my_photos", "https://s3.store.example/my_photos"),
    ],
)  # fmt: skip
def test_any_other_url_that_names_the_bucket_names_it_once(url: str, bucket: str, expected: str) -> None:
    assert url_of(url, bucket) == expected


@pytest.mark.parametrize(
    ("url", "bucket", "expected"),
    [
        ("http://minio.local:9000", "minio", "http://minio.local:9000/minio"),
        ("https://photos.example.com", "photos", "https://photos.example.com/photos"),
        ("https://s3x.example.com", "s3x", "https://s3x.example.com/s3x"),
        ("https://store.s3.example", "photos", "https://store.s3.example/photos"),
        ("https://photos.s3", "photos", "https://photos.s3/photos"),
        ("https://photos-s3.example.com", "photos", "https://photos-s3.example.com/photos"),
        ("http://host/myphotos", "photos", "http://host/myphotos/photos"),
        ("http://host/photos/v1", "photos", "http://host/photos/v1/photos"),
        ("http://host/minio/minio", "minio", "http://host/minio/minio"),  # one who has just that
        # what only looks like a service of AWS
        ("https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com", "photos",
         "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com/photos"),
        ("https://name-123456789012.s3-accesspoint.us-east-1.amazonaws.com", "photos",
         "https://name-123456789012.s3-accesspoint.us-east-1.amazonaws.com/photos"),
        ("https://s3.amazonaws.com.example.org", "photos", "https://s3.amazonaws.com.example.org/photos"),
        ("https://nots3.amazonaws.com", "photos", "https://nots3.amazonaws.com/photos"),
    ],
)  # fmt: skip
def test_a_host_or_path_that_only_resembles_the_bucket_is_an_endpoint(
    url: str, bucket: str, expected: str
) -> None:
    assert url_of(url, bucket) == expected


def test_path_style_takes_a_host_that_may_name_the_bucket_as_it_is() -> None:
    assert url_of("https://photos.s3.corp", style="path") == "https://photos.s3.corp/photos"
    assert url_of("https://photos.s3.corp", style="virtual") == "https://photos.s3.corp"
