from __future__ import annotations

from typing import Any

import pytest

from s3_upload.errors import ConfigError
from s3_upload.s3.endpoint import AddressingStyle, check_bucket, check_endpoint_url, endpoint_for


@pytest.mark.parametrize(
    ("bucket", "region", "url"),
    [
        ("photos", "eu-central-1", "https://photos.s3.eu-central-1.amazonaws.com"),
        ("photos", "us-east-1", "https://photos.s3.us-east-1.amazonaws.com"),
        ("my-photos-2", "us-gov-west-1", "https://my-photos-2.s3.us-gov-west-1.amazonaws.com"),
        ("photos", "cn-north-1", "https://photos.s3.cn-north-1.amazonaws.com.cn"),
        ("photos", "us-iso-east-1", "https://photos.s3.us-iso-east-1.c2s.ic.gov"),
        ("photos", "us-isob-east-1", "https://photos.s3.us-isob-east-1.sc2s.sgov.gov"),
        ("photos", "eusc-de-east-1", "https://photos.s3.eusc-de-east-1.amazonaws.eu"),
        ("www.example.org", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/www.example.org"),
        ("Old_Photos", "us-east-1", "https://s3.us-east-1.amazonaws.com/Old_Photos"),
        ("-photos", "us-east-1", "https://s3.us-east-1.amazonaws.com/-photos"),
        ("192.168.5.4", "us-east-1", "https://s3.us-east-1.amazonaws.com/192.168.5.4"),
    ],
)
def test_aws(bucket: str, region: str, url: str) -> None:
    assert endpoint_for(bucket, region).url == url


def test_parts_of_an_aws_endpoint() -> None:
    endpoint = endpoint_for("photos", "eu-central-1")
    assert endpoint.host == endpoint.host_header == "photos.s3.eu-central-1.amazonaws.com"
    assert (endpoint.port, endpoint.scheme, endpoint.base_path) == (443, "https", "")


def test_path_style_on_aws() -> None:
    endpoint = endpoint_for("photos", "eu-central-1", addressing_style="path")
    assert (endpoint.host, endpoint.base_path) == ("s3.eu-central-1.amazonaws.com", "/photos")


@pytest.mark.parametrize(
    ("url", "style", "host", "port", "host_header", "base_path"),
    [
        ("http://localhost:9000", "auto", "localhost", 9000, "localhost:9000", "/photos"),
        ("http://localhost:9000/", "path", "localhost", 9000, "localhost:9000", "/photos"),
        ("http://LOCALHOST:80", "auto", "localhost", 80, "localhost", "/photos"),
        ("https://store.example:443", "auto", "store.example", 443, "store.example", "/photos"),
        ("https://store.example:80", "auto", "store.example", 80, "store.example:80", "/photos"),
        ("http://store.example:443", "auto", "store.example", 443, "store.example:443", "/photos"),
        ("https://store.example", "virtual", "photos.store.example", 443, "photos.store.example", ""),
        ("https://store.example./", "virtual", "photos.store.example", 443, "photos.store.example", ""),
        (
            "http://store.example:9000",
            "virtual",
            "photos.store.example",
            9000,
            "photos.store.example:9000",
            "",
        ),
        ("https://store.example/s3/v1/", "auto", "store.example", 443, "store.example", "/s3/v1/photos"),
        (
            "https://store.example/s3%20x",
            "virtual",
            "photos.store.example",
            443,
            "photos.store.example",
            "/s3%20x",
        ),
        ("http://[::1]:9000", "auto", "::1", 9000, "[::1]:9000", "/photos"),
        ("https://[2001:db8::1]", "auto", "2001:db8::1", 443, "[2001:db8::1]", "/photos"),
        ("http://127.0.0.1:1", "auto", "127.0.0.1", 1, "127.0.0.1:1", "/photos"),
        ("HTTPS://store_1.example", "auto", "store_1.example", 443, "store_1.example", "/photos"),
    ],
)
def test_custom(  # noqa: PLR0917
    url: str, style: AddressingStyle, host: str, port: int, host_header: str, base_path: str
) -> None:
    endpoint = endpoint_for("photos", "us-east-1", url, style)
    assert (endpoint.host, endpoint.port, endpoint.host_header, endpoint.base_path) == (
        host,
        port,
        host_header,
        base_path,
    )
    assert endpoint.scheme == url.partition(":")[0].lower()


def test_at_a_store_virtual_is_a_wish_as_for_botocore() -> None:
    """No certificate covers a bucket's dots, and not every bucket is a DNS name."""
    assert endpoint_for("a.b.c", "r", "http://store.test", "virtual").host == "a.b.c.store.test"
    assert endpoint_for("a.b.c", "r", "https://store.test", "virtual").url == "https://store.test/a.b.c"
    assert (
        endpoint_for("Old_Photos", "r", "http://store.test", "virtual").url == "http://store.test/Old_Photos"
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:9000", "must start with http"),
        ("store.example", "must start with http"),
        ("", "must start with http"),
        ("ftp://store.example", "must start with http"),
        ("http:///bucket", "must start with http"),
        ("http://:9000", "no valid host"),
        ("http://store..example", "no valid host"),
        ("http://sto*re", "no valid host"),
        ("http://[fe80::1%25eth0]:1", "no valid host"),
        ("http://[::1", "is not a valid URL"),
        ("http://store:99999", "is not a valid URL"),
        ("http://store:http", "is not a valid URL"),
        ("http://store:0", "port must be"),
        ("http://store/?x=1", "no query"),
        ("http://store/#x", "no query"),
        ("http://store?", "no query"),
        ("http://store/a b", "spaces"),
        ("http://store/a\r\nx-evil: 1", "control characters"),
        ("http://sto\tre", "control characters"),
        ("http://störe", "outside ASCII"),
        ("http://store/a/../b", "cannot be used"),
        ("http://store/%zz", "cannot be used"),
        ('http://store/"', "cannot be used"),
    ],
)
def test_a_wrong_url_is_one_line_that_names_the_setting(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        check_endpoint_url(url, "AWS_ENDPOINT_URL_S3")
    assert str(caught.value).startswith("AWS_ENDPOINT_URL_S3 = ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@store.example",
        "me:hunter2@store.example",
        "https://me:hunter2@store:port",
        "https://me:a/hunter2@store.example",
        "https://me:hunter2#b@store.example",
        "https://me:hunter2?b@store.example",
        "https://store.example/?signature=hunter2",
        "https://store.example#hunter2",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_endpoint_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("bucket", ["abc", "a" * 63, "Old_Photos", "a.b-c", "0ab"])
def test_bucket_names_that_exist(bucket: str) -> None:
    check_bucket(bucket)


@pytest.mark.parametrize(
    "bucket",
    [
        "",
        "ab",
        "a" * 64,
        "a/b",
        "s3://photos",
        "my photos",
        "photos\n",
        "phötos",
        "photos\x00",
    ],
)
def test_bucket_names_that_cannot_be(bucket: str) -> None:
    with pytest.raises(ConfigError, match=r"^bucket = .* 3 to 63 ") as caught:
        endpoint_for(bucket, "us-east-1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"bucket": "Old_Photos", "region": "us-east-1"}, "not a DNS name"),
        ({"bucket": "www.example.org", "region": "us-east-1"}, "do not cover the dots"),
    ],
)
def test_virtual_where_it_cannot_work(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        endpoint_for(addressing_style="virtual", **arguments)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://[::1]:9000"])
def test_an_address_has_no_subdomains_whatever_is_asked_for(url: str) -> None:
    assert endpoint_for("photos", "r", url, "virtual").url == f"{url}/photos"


@pytest.mark.parametrize("host", ["s3-accelerate.amazonaws.com", "s3-accelerate.dualstack.amazonaws.com"])
def test_an_accelerate_endpoint_given_as_url_has_the_bucket_in_front(host: str) -> None:
    assert endpoint_for("photos", "eu-west-1", f"https://{host}").url == f"https://photos.{host}"
    assert endpoint_for("photos", "eu-west-1", f"https://{host}", "path").url == f"https://{host}/photos"


@pytest.mark.parametrize("region", ["", "eu central", "evil.example/", "eu-central-1\r\n", "-x"])
def test_a_region_cannot_change_the_host(region: str) -> None:
    with pytest.raises(ConfigError, match=r"^region = "):
        endpoint_for("photos", region)


def test_regions_of_other_stores_are_free() -> None:
    assert endpoint_for("photos", "my_region.1", "http://store").host == "store"


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(ConfigError, match="addressing_style = 'dns': must be one of auto, path, virtual"):
        endpoint_for("photos", "us-east-1", None, "dns")  # type: ignore[arg-type]
