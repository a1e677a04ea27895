"""Roles that STS hands out: real files, real environment, real botocore, an STS of ours."""

from __future__ import annotations

import asyncio
import re

import pytest

from s3_upload import S3Client
from s3_upload.session import BotocoreCredentials
from tests.account import services
from tests.aws_home import Home, home

__all__ = ["home"]

ROLE = "[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = s\nregion = of-profile\n"
KEYS = "[s]\naws_access_key_id = A\naws_secret_access_key = B\n"


@pytest.mark.parametrize(
    ("argument", "variables", "region"),
    [
        (None, {}, "of-profile"),
        (None, {"AWS_DEFAULT_REGION": "of-default"}, "of-default"),
        (None, {"AWS_DEFAULT_REGION": "of-default", "AWS_REGION": "of-variable"}, "of-variable"),
        (None, {"AWS_REGION": ""}, "of-profile"),
        ("of-flag", {"AWS_REGION": "of-variable"}, "of-flag"),
    ],
)
def test_sts_is_asked_in_the_region_of_the_settings(
    home: Home, argument: str | None, variables: dict[str, str], region: str
) -> None:
    home.config(ROLE)
    home.credentials(KEYS)

    async def refresh() -> None:
        async with S3Client(profile="r", region=argument, endpoint_url="http://store") as client:
            assert (await client._provider.refresh()).access_key == "AKROLE"

    with services() as account:
        home.env(AWS_ENDPOINT_URL_STS=account.url, **variables)
        asyncio.run(refresh())
    [(_, _, authorization)] = account.asked
    scope = re.search(r"Credential=A/\d+/([^/]+)/sts/", authorization)
    assert scope is not None
    assert scope[1] == region


def test_an_empty_profile_variable_is_no_profile(home: Home) -> None:
    home.credentials(KEYS.replace("[s]", "[default]"))
    home.env(AWS_PROFILE="", AWS_DEFAULT_PROFILE="", AWS_CONTAINER_CREDENTIALS_FULL_URI="")
    assert asyncio.run(BotocoreCredentials().refresh()).access_key == "A"
