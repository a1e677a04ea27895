"""Credentials as found on a machine: real files, real environment, real botocore."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from s3_upload.account.botocore import (
    BotocoreCredentials,
    credentials_from_environment,
)
from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.s3.credentials import Credentials
from tests.aws_home import Home, home

__all__ = ["home"]

ENV_KEYS = {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "envsecret"}


def get(provider: BotocoreCredentials, rejected: Credentials | None = None) -> Credentials:
    async def refresh() -> Credentials:
        return await provider.refresh(rejected)

    return asyncio.run(refresh())


def failure(provider: BotocoreCredentials) -> str:
    with pytest.raises(RunError) as caught:
        get(provider)
    assert caught.value.kind is FailureKind.CREDENTIALS
    assert "\n" not in str(caught.value)
    return str(caught.value)


def botocore_access_key(profile: str | None = None) -> str:
    import botocore.session

    session: Any = botocore.session.Session(profile=profile)
    return str(session.get_credentials().access_key)


def test_environment_needs_no_botocore(home: Home) -> None:
    program = (
        "import sys\n"
        "from s3_upload.account.botocore import BotocoreCredentials\n"
        "from s3_upload.account.settings import resolve_settings\n"
        "resolve_settings()\n"
        "assert BotocoreCredentials().current().access_key == 'AKENV'\n"
        "assert not [name for name in sys.modules if name.startswith('botocore')]\n"
    )
    home.env(**ENV_KEYS)
    subprocess.run([sys.executable, "-c", program], check=True)


def test_keys_in_a_file_need_no_session_of_botocore(home: Home) -> None:
    program = (
        "import asyncio, sys\n"
        "from s3_upload.account.botocore import BotocoreCredentials\n"
        "provider = BotocoreCredentials()\n"
        "for _ in range(2):\n"
        "    assert asyncio.run(provider.refresh()).access_key == 'AKFILE'\n"
        "    assert provider.method.endswith('credentials [default]')\n"
        "assert not {'botocore.session', 'botocore.credentials', 'urllib3'} & set(sys.modules)\n"
    )
    home.credentials("[default]\naws_access_key_id = AKFILE\naws_secret_access_key = B\n")
    subprocess.run([sys.executable, "-c", program], check=True)


KEYS = "aws_access_key_id = AKFILE\naws_secret_access_key = B\n"


@pytest.mark.parametrize(
    ("credentials", "config"),
    [
        (KEYS, ""),
        ("", KEYS),
        (KEYS + "aws_session_token = new\n", ""),
        (KEYS + "aws_session_token = new\naws_security_token = old\n", ""),
        (KEYS, "aws_session_token = of-the-other-file\n"),
        (KEYS, "aws_access_key_id = AKCONFIG\naws_secret_access_key = C\n"),
    ],
)
def test_keys_in_files_are_those_that_botocore_takes(home: Home, credentials: str, config: str) -> None:
    import botocore.session

    home.credentials(f"[default]\n{credentials}")
    home.config(f"[default]\n{config}")
    session: Any = botocore.session.Session()
    theirs = session.get_credentials()
    expected = Credentials(theirs.access_key, theirs.secret_key, theirs.token)
    assert get(BotocoreCredentials()) == expected


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_what_the_environment_begins_is_left_to_botocore(home: Home, name: str) -> None:
    home.credentials(f"[default]\n{KEYS}")
    home.env(**{name: "/nowhere", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r"})
    failure(BotocoreCredentials())
    assert get(BotocoreCredentials("default")).access_key == "AKFILE"


def test_environment_with_token(home: Home) -> None:
    home.env(**ENV_KEYS, AWS_SESSION_TOKEN="new")
    assert credentials_from_environment() == Credentials("AKENV", "envsecret", "new")
    home.env(AWS_SECURITY_TOKEN="old")  # botocore asks for this one first
    assert credentials_from_environment() == Credentials("AKENV", "envsecret", "old")


@pytest.mark.parametrize("variables", [{}, {"AWS_ACCESS_KEY_ID": "A"}, {**ENV_KEYS, "AWS_ACCESS_KEY_ID": ""}])
def test_no_whole_credentials_in_the_environment(variables: dict[str, str]) -> None:
    assert credentials_from_environment(variables) is None


def test_a_broken_key_in_the_environment_is_blamed_on_it(home: Home) -> None:
    home.env(AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="hunter2\n")
    with pytest.raises(
        ConfigError, match=r"AWS_ACCESS_KEY_ID and its companions: secret_key: has spaces"
    ) as caught:
        BotocoreCredentials()
    assert "hunter2" not in str(caught.value)


def test_environment_beats_the_variable_profile_but_not_the_argument(home: Home) -> None:
    home.credentials("[work]\naws_access_key_id = AKFILE\naws_secret_access_key = B\n")
    home.env(**ENV_KEYS, AWS_PROFILE="work")
    current = BotocoreCredentials().current()
    assert current is not None
    assert current.access_key == botocore_access_key() == "AKENV"
    assert BotocoreCredentials("work").current() is None
    assert get(BotocoreCredentials("work")).access_key == botocore_access_key("work") == "AKFILE"


def test_shared_credentials_file(home: Home) -> None:
    home.credentials("[default]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C\n")
    provider = BotocoreCredentials()
    assert provider.current() is None
    assert get(provider) == Credentials("A", "B", "C")
    assert provider.current() == Credentials("A", "B", "C")


def test_rejected_credentials_are_read_again(home: Home) -> None:
    home.credentials("[default]\naws_access_key_id = OLD\naws_secret_access_key = B\n")
    provider = BotocoreCredentials()
    old = get(provider)
    with pytest.raises(RunError, match=r"credentials OLD have expired; .*credentials \[default\]\)"):
        get(provider, rejected=old)
    home.credentials("[default]\naws_access_key_id = NEW\naws_secret_access_key = B\n")
    assert get(provider, rejected=old).access_key == "NEW"
    home.credentials("[default]\naws_access_key_id = NEWEST\naws_secret_access_key = B\n")
    assert get(provider, rejected=old).access_key == "NEW"  # replaced already: no third look


def test_rejected_environment_credentials(home: Home) -> None:
    home.env(**ENV_KEYS)
    provider = BotocoreCredentials()
    with pytest.raises(RunError, match=r"AKENV have expired; the place they came from \(env\)"):
        get(provider, rejected=provider.current())
    home.env(AWS_ACCESS_KEY_ID="AKNEXT")
    assert get(provider, rejected=provider.current()).access_key == "AKNEXT"


def test_no_credentials(home: Home) -> None:
    text = failure(BotocoreCredentials())
    assert text.startswith("no credentials found in the environment, ")
    assert "aws configure" in text
    home.config("[profile empty]\nregion = x\n")
    assert failure(BotocoreCredentials("empty")).startswith("no credentials found in profile 'empty'")


def test_half_credentials(home: Home) -> None:
    home.env(AWS_ACCESS_KEY_ID="A")
    assert "AWS_SECRET_ACCESS_KEY" in failure(BotocoreCredentials())


def test_profile_not_found(home: Home) -> None:
    assert failure(BotocoreCredentials("typo")).startswith("profile 'typo' is neither in ")


def test_sso_login_needed(home: Home) -> None:
    home.config(
        "[profile work]\nsso_start_url = https://sso.invalid/start\nsso_region = eu-west-1\n"
        "sso_account_id = 123456789012\nsso_role_name = r\n"
    )
    assert "run `aws sso login --profile work`" in failure(BotocoreCredentials("work"))


def test_sso_session_login_needed(home: Home) -> None:
    home.config(
        "[sso-session s]\nsso_start_url = https://sso.invalid/start\nsso_region = eu-west-1\n"
        "[profile work]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
    )
    home.env(AWS_PROFILE="work")
    assert "run `aws sso login --profile work`" in failure(BotocoreCredentials())
