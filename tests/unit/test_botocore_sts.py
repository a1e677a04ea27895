"""Roles that STS hands out: real files, real environment, real botocore, an STS of ours."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.utils import JSONFileCache

from s3_upload import S3Client
from s3_upload.account.botocore import BotocoreCredentials
from s3_upload.errors import AttemptError, FailureKind, RunError
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


# --- the AWS CLI's cache of roles ------------------------------------------------------------------------

MFA = ROLE.replace("of-profile", "eu-west-1\nmfa_serial = arn:aws:iam::1:mfa/me")


def cli_session(home: Home, prompts: list[str]) -> Any:
    """botocore's session as the AWS CLI makes it (awscli/customizations/assumerole.py)."""
    session: Any = botocore.session.Session(profile="r")
    provider = session.get_component("credential_provider").get_provider("assume-role")
    provider.cache = JSONFileCache(str(home.path / ".aws" / "cli" / "cache"))

    def prompted(prompt: str) -> str:
        prompts.append(prompt)
        return "123456"

    provider._prompter = prompted
    return session


def test_an_mfa_session_of_the_aws_cli_is_good_here(home: Home) -> None:
    home.config(MFA)
    home.credentials(KEYS)
    prompts: list[str] = []
    with services() as account:
        home.env(AWS_ENDPOINT_URL_STS=account.url)
        assert cli_session(home, prompts).get_credentials().access_key == "AKROLE"
        assert len(account.asked) == len(prompts) == 1
        assert asyncio.run(BotocoreCredentials("r").refresh()).access_key == "AKROLE"
        assert len(account.asked) == 1


def test_a_role_that_was_assumed_here_is_good_for_the_aws_cli(home: Home) -> None:
    home.config(ROLE)
    home.credentials(KEYS)
    with services() as account:
        home.env(AWS_ENDPOINT_URL_STS=account.url)
        asyncio.run(BotocoreCredentials("r").refresh())
        assert cli_session(home, []).get_credentials().access_key == "AKROLE"
        assert len(account.asked) == 1
    [kept] = (home.path / ".aws" / "cli" / "cache").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def ends(provider: BotocoreCredentials) -> None:
    for source in (provider._source, provider._as_taken):
        source._expiry_time = datetime.now(UTC) - timedelta(minutes=1)


def test_where_sts_cannot_be_reached_when_a_role_ends_the_network_may_be_away(home: Home) -> None:
    """As when a laptop wakes: requests wait until it is back, and the run goes on. At the first time it is an
    error of the run's."""
    home.config(ROLE)
    home.credentials(KEYS)
    home.env(AWS_MAX_ATTEMPTS="1")
    provider = BotocoreCredentials("r")
    with services() as account:
        home.env(AWS_ENDPOINT_URL_STS=account.url)
        asyncio.run(provider.refresh())
    [kept] = (home.path / ".aws" / "cli" / "cache").iterdir()
    kept.unlink()
    ends(provider)
    assert provider.current() is None
    with pytest.raises(AttemptError, match="could not be renewed: Could not connect") as silent:
        asyncio.run(provider.refresh())
    assert silent.value.kind is FailureKind.CONNECT
    with pytest.raises(RunError, match="the credentials could not be loaded: Could not connect"):
        asyncio.run(BotocoreCredentials("r").refresh())


def test_what_the_store_refuses_is_not_taken_from_the_cache_again(home: Home) -> None:
    home.config(ROLE)
    home.credentials(KEYS)
    provider = BotocoreCredentials("r")

    async def twice() -> None:
        first = await provider.refresh()
        account.key = "AKNEWER"
        assert (await provider.refresh(rejected=first)).access_key == "AKNEWER"

    with services() as account:
        home.env(AWS_ENDPOINT_URL_STS=account.url)
        asyncio.run(twice())
        assert len(account.asked) == 2


def test_where_nothing_can_be_written_nothing_is_kept(home: Home) -> None:
    home.config(ROLE)
    home.credentials(KEYS)
    (home.path / ".aws" / "cli").write_text("no directory")
    with services() as account:
        home.env(AWS_ENDPOINT_URL_STS=account.url)
        assert asyncio.run(BotocoreCredentials("r").refresh()).access_key == "AKROLE"


# --- a container's and an instance's metadata --------------------------------------------------------------


@pytest.mark.parametrize(("refusals", "late"), [((429, 429), 0), ((503,), 0), ((), 1)])
def test_metadata_that_is_busy_or_late_is_asked_again(
    home: Home, refusals: tuple[int, ...], late: int
) -> None:
    with services(*refusals, late=late) as account:
        home.env(AWS_EC2_METADATA_SERVICE_ENDPOINT=account.url, AWS_EC2_METADATA_DISABLED="false")
        assert asyncio.run(BotocoreCredentials().refresh()).access_key == "AKIMDS"
        assert len(account.asked) == 3 + len(refusals) + late


@pytest.mark.parametrize(
    "variable", ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"]
)
def test_where_metadata_cannot_be_reached_when_its_keys_end_it_is_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """As after a hibernation, or while an agent restarts."""
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    home.env(AWS_EC2_METADATA_DISABLED="false")
    provider = BotocoreCredentials()
    with services() as account:
        home.env(**{variable: account.url})
        asyncio.run(provider.refresh())
    ends(provider)
    with pytest.raises(AttemptError, match="could not be renewed: Error when retrieving") as silent:
        asyncio.run(provider.refresh())
    assert silent.value.kind is FailureKind.CONNECT
    with pytest.raises(RunError):
        asyncio.run(BotocoreCredentials().refresh())
