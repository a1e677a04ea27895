"""Settings and credentials as found on a machine: real files, real environment, real botocore."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.s3.credentials import Credentials
from s3_upload.session import (
    LOAD_TIMEOUT_S,
    RETRY_REFRESH_S,
    BotocoreCredentials,
    Settings,
    credentials_from_environment,
    resolve_settings,
)

if TYPE_CHECKING:
    from pathlib import Path

ENV_KEYS = {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "envsecret"}


class Home:
    """A home directory whose AWS files and environment are the only ones there are."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch
        (path / ".aws").mkdir()

    def config(self, text: str) -> None:
        (self.path / ".aws" / "config").write_text(text)

    def credentials(self, text: str) -> None:
        (self.path / ".aws" / "credentials").write_text(text)

    def env(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def settings(self, **arguments: Any) -> Settings:
        return resolve_settings(**arguments)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return Home(tmp_path, monkeypatch)


# --- settings -------------------------------------------------------------------------------------


def test_defaults(home: Home) -> None:
    assert home.settings() == Settings(
        region="us-east-1", endpoint_url=None, addressing_style="auto", verify=True
    )


def test_region_order(home: Home) -> None:
    home.config("[default]\nregion = from-profile\n")
    assert home.settings().region == "from-profile"
    home.env(AWS_DEFAULT_REGION="from-default-variable")
    assert home.settings().region == "from-default-variable"
    home.env(AWS_REGION="from-variable")
    assert home.settings().region == "from-variable"
    assert home.settings(region="from-argument").region == "from-argument"


SERVICES = """
[default]
services = mine
endpoint_url = http://profile
[services mine]
s3 =
    endpoint_url = http://profile-s3
dynamodb =
    endpoint_url = http://wrong
"""


def test_endpoint_order(home: Home) -> None:
    home.config("[default]\nendpoint_url = http://profile\n")
    assert home.settings().endpoint_url == "http://profile"
    home.config(SERVICES)
    assert home.settings().endpoint_url == "http://profile-s3"
    home.env(AWS_ENDPOINT_URL="http://global")
    assert home.settings().endpoint_url == "http://global"
    home.env(AWS_ENDPOINT_URL_S3="http://service")
    assert home.settings().endpoint_url == "http://service"
    assert home.settings(endpoint_url="http://argument").endpoint_url == "http://argument"


def test_configured_endpoints_can_be_ignored(home: Home) -> None:
    home.config(SERVICES)
    home.env(AWS_ENDPOINT_URL="http://global", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="True")
    assert home.settings().endpoint_url is None
    assert home.settings(endpoint_url="http://argument").endpoint_url == "http://argument"
    home.env(AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="false")
    assert home.settings().endpoint_url == "http://global"


def test_the_profile_may_ignore_configured_endpoints(home: Home) -> None:
    home.config("[default]\nendpoint_url = http://profile\nignore_configured_endpoint_urls = true\n")
    assert home.settings().endpoint_url is None


def test_a_wrong_endpoint_is_blamed_on_where_it_stands(home: Home) -> None:
    home.config("[profile work]\nendpoint_url = localhost:9000\n")
    with pytest.raises(ConfigError, match="^endpoint_url of profile work = 'localhost:9000': must start"):
        home.settings(profile="work")
    home.env(AWS_ENDPOINT_URL_S3="ftp://x")
    with pytest.raises(ConfigError, match="^AWS_ENDPOINT_URL_S3 = 'ftp://x'"):
        home.settings(profile="work")


def test_a_missing_services_section(home: Home) -> None:
    home.config("[default]\nservices = gone\n")
    with pytest.raises(ConfigError, match="services = 'gone' in profile default: there is no such section"):
        home.settings()


def test_addressing_style(home: Home) -> None:
    home.config("[default]\ns3 =\n    addressing_style = virtual\n")
    assert home.settings().addressing_style == "virtual"
    assert home.settings(addressing_style="path").addressing_style == "path"
    home.config("[default]\ns3 =\n    addressing_style = dns\n")
    with pytest.raises(ConfigError, match="addressing_style = 'dns'"):
        home.settings()
    home.config("[default]\ns3 = nonsense\n")
    assert home.settings().addressing_style == "auto"


def test_ca_bundle(home: Home) -> None:
    bundles = [home.path / name for name in ("argument.pem", "variable.pem", "profile.pem")]
    for bundle in bundles:
        bundle.touch()
    home.config(f"[default]\nca_bundle = {bundles[2]}\n")
    assert home.settings().verify == str(bundles[2])
    home.env(AWS_CA_BUNDLE="~/variable.pem")
    assert home.settings().verify == str(bundles[1])
    assert home.settings(verify=str(bundles[0])).verify == str(bundles[0])
    assert home.settings(verify=False).verify is False
    with pytest.raises(ConfigError, match=r"CA bundle '/no/such.pem': there is no such file"):
        home.settings(verify="/no/such.pem")


def test_which_profile(home: Home) -> None:
    home.config(
        "[default]\nregion = d\n[profile a]\nregion = a\n[profile b]\nregion = b\n[profile c]\nregion = c\n"
    )
    assert home.settings().region == "d"
    home.env(AWS_PROFILE="a")
    assert home.settings().region == "a"
    home.env(AWS_DEFAULT_PROFILE="b")  # botocore asks for this one first
    assert home.settings().region == "b"
    assert home.settings(profile="c").region == "c"


def test_the_credentials_file_makes_profiles_too(home: Home) -> None:
    home.credentials("[work]\naws_access_key_id = A\naws_secret_access_key = B\nregion = w\n")
    assert home.settings(profile="work").region == "w"


def test_files_elsewhere(home: Home) -> None:
    (home.path / "elsewhere").write_text("[profile x]\nregion = x\n")
    home.env(AWS_CONFIG_FILE="~/elsewhere")
    assert home.settings(profile="x").region == "x"


def test_an_unknown_profile(home: Home) -> None:
    home.config("[default]\nregion = d\n")
    with pytest.raises(
        RunError, match=r"^profile 'typo' is neither in .*config nor in .*credentials: check"
    ) as caught:
        home.settings(profile="typo")
    assert caught.value.kind is FailureKind.CREDENTIALS


@pytest.mark.parametrize("text", ["aws_secret_access_key = hunter2\n", "[default]\nhunter2\n"])
def test_an_unreadable_file_is_one_line_without_its_content(home: Home, text: str) -> None:
    home.credentials(text)
    with pytest.raises(ConfigError, match=r"credentials: cannot be read as an AWS config file") as caught:
        home.settings()
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


# --- credentials ----------------------------------------------------------------------------------


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
        "from s3_upload.session import BotocoreCredentials, resolve_settings\n"
        "resolve_settings()\n"
        "assert BotocoreCredentials().current().access_key == 'AKENV'\n"
        "assert not [name for name in sys.modules if name.startswith('botocore')]\n"
    )
    home.env(**ENV_KEYS)
    subprocess.run([sys.executable, "-c", program], check=True)


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
    with pytest.raises(RunError, match=r"credentials OLD have expired; .*\(shared-credentials-file\)"):
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


class Process:
    """A `credential_process` that hands out AK1, AK2, ... with a given time to live."""

    def __init__(self, home: Home) -> None:
        self._answer = home.path / "answer.json"
        self._calls = home.path / "calls"
        self._calls.touch()
        script = home.path / "process.py"
        script.write_text(
            "import json, sys, pathlib\n"
            f"calls = pathlib.Path({str(self._calls)!r})\n"
            "calls.write_text(calls.read_text() + 'x')\n"
            f"answer = json.loads(pathlib.Path({str(self._answer)!r}).read_text())\n"
            "answer['AccessKeyId'] = f'AK{len(calls.read_text())}'\n"
            "json.dump(answer, sys.stdout)\n"
        )
        home.config(f"[default]\ncredential_process = {sys.executable} {script}\n")

    def lives(self, **duration: float) -> None:
        end = datetime.now(UTC) + timedelta(**duration)
        answer = {"Version": 1, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end.isoformat()}
        self._answer.write_text(json.dumps(answer))

    def breaks(self) -> None:
        self._answer.write_text("none")

    @property
    def calls(self) -> int:
        return len(self._calls.read_text())


def test_concurrent_callers_share_one_refresh(home: Home) -> None:
    process = Process(home)
    process.lives(hours=1)
    provider = BotocoreCredentials()

    async def many() -> set[str]:
        cancelled = asyncio.ensure_future(provider.refresh())
        callers = [asyncio.ensure_future(provider.refresh()) for _ in range(20)]
        await asyncio.sleep(0)
        cancelled.cancel()
        return {credentials.access_key for credentials in await asyncio.gather(*callers)}

    assert asyncio.run(many()) == {"AK1"}
    assert process.calls == 1


def test_a_failed_refresh_reaches_all_callers_and_the_next_one_tries_again(home: Home) -> None:
    process = Process(home)
    process.breaks()
    provider = BotocoreCredentials()

    async def many() -> list[Credentials | BaseException]:
        return await asyncio.gather(*(provider.refresh() for _ in range(5)), return_exceptions=True)

    assert {type(result) for result in asyncio.run(many())} == {RunError}
    assert process.calls == 1
    process.lives(hours=1)
    assert get(provider).access_key == "AK2"


def test_renewed_before_they_end(home: Home) -> None:
    clock = 0.0
    process = Process(home)
    process.lives(minutes=20)
    provider = BotocoreCredentials(now=lambda: clock)
    first = get(provider)
    assert provider.current() == first
    assert process.calls == 1


def test_near_their_end_they_are_used_while_no_newer_ones_come(home: Home) -> None:
    clock = 0.0
    process = Process(home)
    process.lives(minutes=12)
    provider = BotocoreCredentials(now=lambda: clock)
    first = get(provider)
    assert provider.current() == first  # asked for just now: the next look is in a minute
    clock = RETRY_REFRESH_S
    assert provider.current() is None
    process.breaks()
    assert get(provider) == first
    assert provider.current() == first
    clock = 2 * RETRY_REFRESH_S
    process.lives(hours=1)
    newer = get(provider)
    assert newer not in (first, None)
    clock = 10 * RETRY_REFRESH_S
    assert provider.current() == newer


def test_expired_credentials_are_never_used(home: Home) -> None:
    process = Process(home)
    process.lives(minutes=-1)
    provider = BotocoreCredentials()
    assert "still expired" in failure(provider)
    assert provider.current() is None


def test_a_process_that_hangs_does_not_hang_us(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.config("[default]\ncredential_process = sleep 60\n")
    monkeypatch.setattr("s3_upload.session.LOAD_TIMEOUT_S", 0.0)
    assert failure(BotocoreCredentials()).startswith("no credentials within 0 s")
    assert LOAD_TIMEOUT_S > 60
