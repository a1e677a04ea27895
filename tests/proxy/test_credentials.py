"""Credentials behind proxies: instance metadata is asked directly, STS through the proxy of a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from s3_upload import upload as upload_call
from s3_upload.account.botocore import BotocoreCredentials
from tests.account import services
from tests.aws_home import Home, home
from tests.faults.uploads import BUCKET, stored
from tests.proxy.forward import ForwardProxy
from tests.proxy.test_ways import HOST, NAMES, url_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer

__all__ = ["home"]


@pytest.mark.parametrize("named", [True, False])
def test_instance_metadata_is_never_asked_through_a_proxy(home: Home, *, named: bool) -> None:
    """botocore does so, where NO_PROXY does not name 169.254.169.254."""
    with services() as account, ForwardProxy() as proxy:
        endpoint = account.url
        home.env(AWS_EC2_METADATA_SERVICE_ENDPOINT=endpoint, AWS_EC2_METADATA_DISABLED="false")
        home.env(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url)
        proxies = {"http": proxy.url, "https": proxy.url} if named else None
        assert asyncio.run(BotocoreCredentials(proxies=proxies).refresh()).access_key == "AKIMDS"
        assert proxy.heads == []


@pytest.mark.parametrize("named", [True, False])
def test_sts_is_asked_through_the_proxy_of_a_call_and_of_the_environment(
    home: Home, fault_server: StartFaultServer, tmp_path: Path, *, named: bool
) -> None:
    home.config("[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = s\nregion = us-east-1\n")
    home.credentials("[s]\naws_access_key_id = A\naws_secret_access_key = B\n")
    (tmp_path / "a").write_bytes(b"1")
    server = fault_server()
    with services() as account, ForwardProxy(names=NAMES | {"sts.internal": "127.0.0.1"}) as proxy:
        home.env(AWS_ENDPOINT_URL_STS=f"http://sts.internal:{account.port}")
        if not named:
            home.env(HTTP_PROXY=proxy.url)
        upload_call(
            tmp_path / "a", f"s3://{BUCKET}/a", endpoint_url=url_of(server, HOST), profile="r",
            proxy=proxy.url if named else None,
        ).raise_for_failures()  # fmt: skip
    assert stored(server) == {"a": b"1"}
    assert "AKROLE" in server.requests[0].headers["authorization"]
    assert proxy.methods == ["POST", "PUT"]
