"""Settings as found on a machine: real files, real environment."""

from __future__ import annotations

import asyncio
import errno
import io
from typing import Any

import pytest

from s3_upload.account.botocore import BotocoreCredentials, credentials_from_files
from s3_upload.account.settings import Settings, resolve_settings
from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.variant import STANDARD, Variant
from tests.aws_home import Home, home

__all__ = ["home"]


def test_defaults(home: Home) -> None:
    assert resolve_settings() == Settings(
        region="us-east-1", endpoint_url=None, addressing_style="auto", verify=True, checksum="auto"
    )


def test_region_order(home: Home) -> None:
    home.config("[default]\nregion = from-profile\n")
    assert resolve_settings().region == "from-profile"
    home.env(AWS_DEFAULT_REGION="from-default-variable")
    assert resolve_settings().region == "from-default-variable"
    home.env(AWS_REGION="from-variable")
    assert resolve_settings().region == "from-variable"
    assert resolve_settings(region="from-argument").region == "from-argument"


def test_a_region_that_is_none_is_refused_with_the_place_it_came_from(home: Home) -> None:
    home.config("[default]\nregion = no where\n")
    with pytest.raises(ConfigError, match=r"\.aws/config \[default\].* = 'no where': is no region name"):
        resolve_settings()
    home.env(AWS_REGION="eu west")
    with pytest.raises(ConfigError, match=r"^AWS_REGION = 'eu west': is no region name"):
        resolve_settings()
    with pytest.raises(ConfigError, match=r"^region = 'mars/1': is no region name"):
        resolve_settings(region="mars/1")


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
    assert resolve_settings().endpoint_url == "http://profile"
    home.config(SERVICES)
    assert resolve_settings().endpoint_url == "http://profile-s3"
    home.env(AWS_ENDPOINT_URL="http://global")
    assert resolve_settings().endpoint_url == "http://global"
    home.env(AWS_ENDPOINT_URL_S3="http://service")
    assert resolve_settings().endpoint_url == "http://service"
    assert resolve_settings(endpoint_url="http://argument").endpoint_url == "http://argument"


def test_configured_endpoints_can_be_ignored(home: Home) -> None:
    home.config(SERVICES)
    home.env(AWS_ENDPOINT_URL="http://global", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="True")
    assert resolve_settings().endpoint_url is None
    assert resolve_settings(endpoint_url="http://argument").endpoint_url == "http://argument"
    home.env(AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="false")
    assert resolve_settings().endpoint_url == "http://global"


def test_the_profile_may_ignore_configured_endpoints(home: Home) -> None:
    home.config("[default]\nendpoint_url = http://profile\nignore_configured_endpoint_urls = true\n")
    assert resolve_settings().endpoint_url is None


def test_a_wrong_endpoint_is_blamed_on_where_it_stands(home: Home) -> None:
    home.config("[profile work]\nendpoint_url = localhost:9000\n")
    with pytest.raises(ConfigError, match=r"^endpoint_url of profile work = 'localhost:9000': must start"):
        resolve_settings(profile="work")
    home.env(AWS_ENDPOINT_URL_S3="ftp://x")
    with pytest.raises(ConfigError, match=r"^AWS_ENDPOINT_URL_S3 = 'ftp://x'"):
        resolve_settings(profile="work")


def test_a_missing_services_section(home: Home) -> None:
    home.config("[default]\nservices = gone\n")
    with pytest.raises(ConfigError, match="services = 'gone' in profile default: there is no such section"):
        resolve_settings()


def test_addressing_style(home: Home) -> None:
    home.config("[default]\ns3 =\n    addressing_style = virtual\n")
    assert resolve_settings().addressing_style == "virtual"
    assert resolve_settings(addressing_style="path").addressing_style == "path"
    home.config("[default]\ns3 =\n    addressing_style = dns\n")
    with pytest.raises(ConfigError, match="addressing_style = 'dns'"):
        resolve_settings()
    home.config("[default]\ns3 = nonsense\n")
    assert resolve_settings().addressing_style == "auto"


def test_ca_bundle(home: Home) -> None:
    bundles = [home.path / name for name in ("argument.pem", "variable.pem", "profile.pem")]
    for bundle in bundles:
        bundle.touch()
    home.config(f"[default]\nca_bundle = {bundles[2]}\n")
    assert resolve_settings().verify == str(bundles[2])
    home.env(AWS_CA_BUNDLE="~/variable.pem")
    assert resolve_settings().verify == str(bundles[1])
    assert resolve_settings(verify=str(bundles[0])).verify == str(bundles[0])
    assert resolve_settings(verify=False).verify is False
    with pytest.raises(ConfigError, match=r"CA bundle '/no/such.pem': there is no such file"):
        resolve_settings(verify="/no/such.pem")


def test_the_bundle_of_requests_comes_last(home: Home) -> None:
    for name in ("variable.pem", "profile.pem", "requests.pem"):
        (home.path / name).touch()
    home.env(REQUESTS_CA_BUNDLE=str(home.path / "requests.pem"))
    assert resolve_settings().verify == str(home.path / "requests.pem")
    home.config(f"[default]\nca_bundle = {home.path / 'profile.pem'}\n")
    assert resolve_settings().verify == str(home.path / "profile.pem")


VARIABLES = (
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_REQUEST_CHECKSUM_CALCULATION", "HTTPS_PROXY", "HTTP_PROXY",
    "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CREDENTIAL_FILE", "BOTO_CONFIG",
)  # fmt: skip


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_empty_variable_counts_as_unset(home: Home, variable: str) -> None:
    bundle = home.path / "ca.pem"
    bundle.touch()
    home.config(
        "[default]\nregion = r\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n"
        f"request_checksum_calculation = when_required\nca_bundle = {bundle}\n"
    )
    home.credentials("[default]\naws_access_key_id = AKFILE\naws_secret_access_key = B\n")
    before = resolve_settings()
    home.env(**{variable: ""})
    assert resolve_settings() == before
    assert asyncio.run(BotocoreCredentials().refresh()).access_key == "AKFILE"


def test_no_home_and_one_that_may_not_be_looked_into_have_no_files(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.config("[default]\nregion = r\n")
    hidden = home.path / "hidden"
    hidden.mkdir()
    monkeypatch.setenv("HOME", str(hidden / "below"))
    assert resolve_settings().region == "us-east-1"
    # A name that is too long is refused by the system as a directory without rights is, root or not.
    monkeypatch.setenv("HOME", str(home.path / ("x" * 300)))
    assert resolve_settings().region == "us-east-1"
    monkeypatch.delenv("HOME")
    resolve_settings()


def test_the_scheme_is_normalised(home: Home) -> None:
    assert resolve_settings(endpoint_url="HTTP://store:9000").endpoint_url == "http://store:9000"


def test_which_profile(home: Home) -> None:
    home.config(
        "[default]\nregion = d\n[profile a]\nregion = a\n[profile b]\nregion = b\n[profile c]\nregion = c\n"
    )
    assert resolve_settings().region == "d"
    home.env(AWS_PROFILE="a")
    assert resolve_settings().region == "a"
    home.env(AWS_DEFAULT_PROFILE="b")  # botocore asks for this one first
    assert resolve_settings().region == "b"
    assert resolve_settings(profile="c").region == "c"


def test_the_credentials_file_makes_profiles_too(home: Home) -> None:
    home.credentials("[work]\naws_access_key_id = A\naws_secret_access_key = B\nregion = w\n")
    assert resolve_settings(profile="work").region == "w"


def test_files_elsewhere(home: Home) -> None:
    (home.path / "elsewhere").write_text("[profile x]\nregion = x\n")
    home.env(AWS_CONFIG_FILE="~/elsewhere")
    assert resolve_settings(profile="x").region == "x"


def test_an_unknown_profile(home: Home) -> None:
    home.config("[default]\nregion = d\n")
    with pytest.raises(
        RunError, match=r"^profile 'typo' is neither in .*config nor in .*credentials: check"
    ) as caught:
        resolve_settings(profile="typo")
    assert caught.value.kind is FailureKind.CREDENTIALS


@pytest.mark.parametrize("text", ["aws_secret_access_key = hunter2\n", "[default]\nhunter2\n"])
def test_an_unreadable_file_is_one_line_without_its_content(home: Home, text: str) -> None:
    home.credentials(text)
    with pytest.raises(ConfigError, match=r"credentials: cannot be read as an AWS config file") as caught:
        resolve_settings()
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_a_file_that_may_not_be_read_is_not_taken_for_none(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home.config("[default]\nendpoint_url = http://store\n")
    home.credentials("[default]\naws_access_key_id = A\n")
    real = io.open

    def refused(file: Any, *args: Any, **how: Any) -> Any:
        if str(file).endswith(f".aws/{name}"):
            raise PermissionError(errno.EACCES, "Permission denied", file)
        return real(file, *args, **how)

    monkeypatch.setattr("io.open", refused)
    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(ConfigError, match=rf"\.aws/{name}: cannot be read .* \(Permission denied\)"):
        resolve_settings()


def test_checksum_order(home: Home) -> None:
    home.config("[default]\nrequest_checksum_calculation = when_required\n")
    assert resolve_settings().checksum == "when-required"
    home.env(AWS_REQUEST_CHECKSUM_CALCULATION="WHEN_SUPPORTED")
    assert resolve_settings().checksum == "auto"
    assert resolve_settings(checksum="off").checksum == "off"


def test_a_wrong_word_about_checksums_is_named(home: Home) -> None:
    with pytest.raises(ConfigError, match="checksum = 'never': must be one of auto, when-required, off"):
        resolve_settings(checksum="never")  # type: ignore[arg-type]
    home.env(AWS_REQUEST_CHECKSUM_CALCULATION="never")
    with pytest.raises(ConfigError, match="request_checksum_calculation = 'never': must be one of when_s"):
        resolve_settings()


NESTED = """
[default]
s3 =
    use_accelerate_endpoint = true
    use_dualstack_endpoint = TRUE
[profile plain]
use_fips_endpoint = true
use_dualstack_endpoint = true
[profile off]
use_fips_endpoint = false
s3 =
    use_dualstack_endpoint = false
"""


def test_variants_of_the_endpoint(home: Home) -> None:
    assert resolve_settings().variant == STANDARD
    home.config(NESTED)
    assert resolve_settings().variant == Variant(accelerate=True, dualstack=True)
    assert resolve_settings(profile="plain").variant == Variant(fips=True, dualstack=True)
    assert resolve_settings(profile="off").variant == STANDARD
    home.env(AWS_USE_FIPS_ENDPOINT="True", AWS_USE_DUALSTACK_ENDPOINT="true")
    assert resolve_settings(profile="off").variant == Variant(fips=True, dualstack=True)
    home.env(AWS_USE_FIPS_ENDPOINT="false", AWS_USE_DUALSTACK_ENDPOINT="false")
    assert resolve_settings(profile="plain").variant == STANDARD


@pytest.mark.parametrize("region", ["fips-us-gov-west-1", "us-gov-west-1-fips", "us-gov-west-1"])
def test_a_pseudo_region_of_fips_is_what_botocore_makes_of_it(home: Home, region: str) -> None:
    import botocore.session

    home.env(AWS_REGION=region, AWS_DEFAULT_REGION=region)
    client = botocore.session.Session().create_client("s3")
    ours = resolve_settings()
    assert ours.region == client.meta.region_name == "us-gov-west-1"
    assert ours.variant.fips == bool(client.meta.config.use_fips_endpoint)
    assert resolve_settings(endpoint_url="http://store").region == "us-gov-west-1"
    assert resolve_settings(use_fips_endpoint=False).variant == STANDARD


def test_the_global_region_is_signed_for_where_it_is(home: Home) -> None:
    """As botocore's rules say: the signing region of aws-global is us-east-1."""
    found = resolve_settings(region="aws-global")
    assert (found.region, found.variant.is_global) == ("us-east-1", True)


def test_an_argument_decides_the_variant(home: Home) -> None:
    home.config(NESTED)
    home.env(AWS_USE_FIPS_ENDPOINT="true")
    off = resolve_settings(
        use_accelerate_endpoint=False, use_dualstack_endpoint=False, use_fips_endpoint=False
    )
    assert off.variant == STANDARD
    fips = resolve_settings(use_accelerate_endpoint=False)
    assert fips.variant == Variant(dualstack=True, fips=True)
    with pytest.raises(ConfigError, match="use_accelerate_endpoint and use_fips_endpoint"):
        resolve_settings()


@pytest.mark.parametrize("profile", ["default", "plain", "off"])
@pytest.mark.parametrize("word", ["true", "false"])
def test_variants_are_botocores(home: Home, profile: str, word: str) -> None:
    """Of the same files and variables."""
    import botocore.session

    home.config(NESTED)
    home.env(AWS_USE_DUALSTACK_ENDPOINT=word)
    client = botocore.session.Session(profile=profile).create_client("s3", region_name="eu-west-1")
    theirs = client.meta.config
    s3 = theirs.s3 or {}
    assert resolve_settings(profile=profile).variant == Variant(
        accelerate=bool(s3.get("use_accelerate_endpoint")),
        dualstack=bool(s3.get("use_dualstack_endpoint")),
        fips=bool(theirs.use_fips_endpoint),
    )


def test_a_custom_endpoint_has_no_variants(home: Home) -> None:
    home.config(NESTED)
    home.env(AWS_USE_FIPS_ENDPOINT="true")
    assert resolve_settings(endpoint_url="http://store").variant == STANDARD
    with pytest.raises(ConfigError, match="use_fips_endpoint: is for AWS's own endpoints, not for http://s"):
        resolve_settings(endpoint_url="http://store", use_fips_endpoint=True)


@pytest.mark.parametrize("word", ["yes", "1", "on"])
def test_a_switch_that_is_neither_true_nor_false_is_named(home: Home, word: str) -> None:
    home.env(AWS_USE_FIPS_ENDPOINT=word)
    with pytest.raises(ConfigError, match=f"AWS_USE_FIPS_ENDPOINT .* = '{word}': must be true or false"):
        resolve_settings()


def test_keys_that_a_profile_spells_out_need_no_botocore(home: Home) -> None:
    home.credentials(
        "[default]\naws_access_key_id = A\naws_secret_access_key = B\n"
        "[me]\naws_access_key_id = C\naws_secret_access_key = D\naws_session_token = E\n"
        "[half]\naws_access_key_id = F\n"
    )
    assert credentials_from_files() == Credentials("A", "B")
    assert credentials_from_files("me") == Credentials("C", "D", "E")
    assert credentials_from_files("half") is None
    home.env(AWS_PROFILE="me")
    assert credentials_from_files() == Credentials("C", "D", "E")
    with pytest.raises(RunError, match="profile 'nobody'"):
        credentials_from_files("nobody")


@pytest.mark.parametrize(
    "other", ["role_arn = x", "sso_session = x", "sso_start_url = x", "credential_process = x",
              "credential_source = x", "web_identity_token_file = x", "login_session = x"],
)  # fmt: skip
def test_a_profile_that_names_another_way_to_get_keys_is_left_to_botocore(home: Home, other: str) -> None:
    home.config(f"[profile me]\naws_access_key_id = C\naws_secret_access_key = D\n{other}\n")
    assert credentials_from_files("me") is None


def test_us_east_1_has_an_endpoint_of_no_region_for_who_asks_for_it() -> None:
    variable = "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"
    assert not resolve_settings(region="us-east-1", environ={}).variant.is_global
    assert resolve_settings(region="us-east-1", environ={variable: "legacy"}).variant.is_global
    assert not resolve_settings(region="us-east-1", environ={variable: "Regional"}).variant.is_global
    with pytest.raises(ConfigError, match="must be regional or legacy"):
        resolve_settings(environ={variable: "global"})
