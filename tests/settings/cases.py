"""What is set, and why the two differ where they do."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

GLOBAL = "the region's own name instead of the global one, which leads to us-east-1 as well"
EMPTY = "an empty variable counts as unset, whichever it is; for the AWS CLI that depends on the variable"
REGION = "the AWS CLI, version 2, reads AWS_REGION too; version 1 does not"
NO_DOTS = "told before anything is sent: no certificate of AWS's covers it, or the name is none for DNS"
TLS = "TLS guards the body on its way; payload_signing_enabled has its hash signed all the same"
TRAILER = "botocore lets the checksum behind the body take its place; who asks for it gets it here"
WORD = "a word that is neither true nor false is an error: taken for false it would turn FIPS off in silence"
PARTS = "without a word, what is larger than 16 MiB goes in parts"
_THRESHOLD = ("multipart_threshold = 5MB",)
ALWAYS = ("URL", "region", "service", "checksum", "body", "app")
CAS, STS, TRIES, AT_ONCE = ("CAs",), ("STS",), ("tries",), ("at once",)
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_BASE = "aws_access_key_id = A\naws_secret_access_key = B"
MIB = 1 << 20
NOTHING: Mapping[str, str] = MappingProxyType({})


class Case(NamedTuple):
    """`variables`, the lines of `[default]`, and `flags` of both; `why`: the reason of a difference.

    `looks_at`: what is compared.  `without`: variables of every machine that are not set on this one.
    """

    what: str
    variables: Mapping[str, str] = NOTHING
    config: str = ""
    flags: tuple[str, ...] = ()
    bucket: str = "photos"
    why: str = ""
    looks_at: tuple[str, ...] = ALWAYS
    without: tuple[str, ...] = ()
    size: int = 1


def _nested(*lines: str) -> str:
    return "\n    ".join(["s3 =", *lines]) if any(lines) else ""


def _of_cas(
    what: str, variables: Mapping[str, str], config: str = "", flags: tuple[str, ...] = (), why: str = ""
) -> Case:
    return Case(what, variables, config, flags, why=why, looks_at=CAS, without=("AWS_CA_BUNDLE",))


def _of_role(
    what: str, variables: Mapping[str, str], line: str = "", flags: tuple[str, ...] = (), why: str = ""
) -> Case:
    """Of a profile that takes a role: which STS is asked."""
    config = f"role_arn = arn:aws:iam::1:role/r\nsource_profile = base\n{line}\n[profile base]\n{_BASE}"
    return Case(what, variables, config, flags, why=why, looks_at=STS, without=_KEYS)


def _in_parts(what: str, size: int, *lines: str, why: str = "") -> Case:
    return Case(what, R, _nested(*lines), looks_at=("parts",), size=size, why=why)


def _tried(what: str, variables: Mapping[str, str], line: str = "", why: str = "") -> Case:
    return Case(what, variables, line, why=why, looks_at=TRIES, without=("AWS_MAX_ATTEMPTS",))


def _at_once(what: str, line: str, why: str = "") -> Case:
    return Case(what, R, _nested(line), why=why, looks_at=AT_ONCE)


R = {"AWS_DEFAULT_REGION": "eu-west-1"}
STORE = "http://store.internal:9000"
_REGIONAL = "us_east_1_regional_endpoint"
DIRECTORY = "photos--euw1-az1--x-s3"
_NO_SESSION = "s3_disable_express_session_auth"
ACCESS_POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint/photos"
CASES = [
    Case("nothing at all", why=GLOBAL),
    Case("region = eu-west-1", config="region = eu-west-1"),
    Case("AWS_DEFAULT_REGION", {"AWS_DEFAULT_REGION": "eu-west-1"}, "region = eu-west-2"),
    Case("AWS_REGION", {"AWS_REGION": "eu-west-1"}, "region = eu-west-2", why=REGION),
    Case("AWS_REGION=", {"AWS_REGION": ""}, "region = eu-west-2"),
    Case("AWS_DEFAULT_REGION=", {"AWS_DEFAULT_REGION": ""}, "region = eu-west-2", why=EMPTY),
    Case("--region", R, flags=("--region", "eu-west-3")),
    Case("--region aws-global", flags=("--region", "aws-global")),
    Case("us-east-1", config="region = us-east-1", why=GLOBAL),
    Case(
        "us-east-1, us_east_1_regional_endpoint = regional",
        config=f"region = us-east-1\n{_nested(f'{_REGIONAL} = regional')}",
    ),
    Case("us_east_1_regional_endpoint = legacy", {}, _nested(f"{_REGIONAL} = legacy")),
    Case("s3_us_east_1_regional_endpoint = legacy", {}, f"s3_{_REGIONAL} = legacy"),
    Case("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT=legacy", {f"AWS_S3_{_REGIONAL.upper()}": "legacy"}),
    Case("--region fips-us-gov-west-1", flags=("--region", "fips-us-gov-west-1")),
    Case("--region us-gov-west-1-fips", flags=("--region", "us-gov-west-1-fips")),
    Case("AWS_PROFILE=", R | {"AWS_PROFILE": ""}, why=EMPTY),
    Case("AWS_PROFILE=nobody", R | {"AWS_PROFILE": "nobody"}),
    Case("AWS_CONFIG_FILE=", R | {"AWS_CONFIG_FILE": ""}),
    Case("endpoint_url", R, f"endpoint_url = {STORE}"),
    Case("AWS_ENDPOINT_URL", R | {"AWS_ENDPOINT_URL": STORE}, "endpoint_url = http://other"),
    Case("AWS_ENDPOINT_URL_S3", R | {"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_S3": STORE}),
    Case("AWS_ENDPOINT_URL_S3=", R | {"AWS_ENDPOINT_URL": STORE, "AWS_ENDPOINT_URL_S3": ""}),
    Case(
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true",
        R | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        f"endpoint_url = {STORE}",
    ),
    Case("--endpoint-url", R, flags=("--endpoint-url", STORE)),
    Case("addressing_style = path", R, _nested("addressing_style = path")),
    Case("addressing_style = virtual", R, _nested("addressing_style = virtual")),
    Case("virtual, a store", R, _nested("addressing_style = virtual"), ("--endpoint-url", STORE)),
    Case(
        "virtual, an address",
        R,
        _nested("addressing_style = virtual"),
        ("--endpoint-url", "http://127.0.0.1:9"),
    ),
    Case("virtual, a bucket with dots", R, _nested("addressing_style = virtual"), (), "a.b.c", NO_DOTS),
    Case("auto, a bucket with dots", R, bucket="a.b.c"),
    Case("use_accelerate_endpoint = true", R, _nested("use_accelerate_endpoint = true")),
    Case("an accelerate endpoint as URL", R, flags=("--endpoint-url", "https://s3-accelerate.amazonaws.com")),
    Case("use_dualstack_endpoint = true (s3)", R, _nested("use_dualstack_endpoint = true")),
    Case("use_dualstack_endpoint = true", R, "use_dualstack_endpoint = true"),
    Case("AWS_USE_DUALSTACK_ENDPOINT=true", R | {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    Case(
        "AWS_USE_DUALSTACK_ENDPOINT=",
        R | {"AWS_USE_DUALSTACK_ENDPOINT": ""},
        "use_dualstack_endpoint = true",
        why=EMPTY,
    ),
    Case("AWS_USE_FIPS_ENDPOINT=true", R | {"AWS_USE_FIPS_ENDPOINT": "true"}),
    Case("AWS_USE_FIPS_ENDPOINT=", R | {"AWS_USE_FIPS_ENDPOINT": ""}, "use_fips_endpoint = true", why=EMPTY),
    Case("AWS_USE_FIPS_ENDPOINT=yes", R | {"AWS_USE_FIPS_ENDPOINT": "yes"}, why=WORD),
    Case("use_fips_endpoint, a store", R, "use_fips_endpoint = true", ("--endpoint-url", STORE)),
    _of_cas("ca_bundle", R, "ca_bundle = {home}/a.pem"),
    _of_cas("AWS_CA_BUNDLE", R | {"AWS_CA_BUNDLE": "{home}/b.pem"}, "ca_bundle = {home}/a.pem"),
    _of_cas("AWS_CA_BUNDLE=", R | {"AWS_CA_BUNDLE": ""}, "ca_bundle = {home}/a.pem", why=EMPTY),
    _of_cas("REQUESTS_CA_BUNDLE", R | {"REQUESTS_CA_BUNDLE": "{home}/c.pem"}),
    _of_cas(
        "REQUESTS_CA_BUNDLE, ca_bundle",
        R | {"REQUESTS_CA_BUNDLE": "{home}/c.pem"},
        "ca_bundle = {home}/a.pem",
    ),
    _of_cas("--ca-bundle", R, "ca_bundle = {home}/a.pem", ("--ca-bundle", "{home}/b.pem")),
    _of_cas("no CA bundle", R),
    Case("--no-verify-ssl", R, flags=("--no-verify-ssl",), without=("AWS_CA_BUNDLE",)),
    Case(
        "request_checksum_calculation = when_required",
        R,
        "request_checksum_calculation = when_required",
        why=TLS,
    ),
    Case(
        "AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
        R | {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"},
        why=TLS,
    ),
    Case("payload_signing_enabled = true", R, _nested("payload_signing_enabled = true"), why=TRAILER),
    Case("sdk_ua_app_id", R, "sdk_ua_app_id = mine"),
    Case("AWS_SDK_UA_APP_ID", R | {"AWS_SDK_UA_APP_ID": "ours"}, "sdk_ua_app_id = mine"),
    Case("the ARN of an access point", R, bucket=ACCESS_POINT),
    Case("an access point, addressing_style = path", R, _nested("addressing_style = path"), (), ACCESS_POINT),
    Case("s3_use_arn_region = false", R, "s3_use_arn_region = false", bucket=ACCESS_POINT),
    Case("use_arn_region = false (s3)", R, _nested("use_arn_region = false"), bucket=ACCESS_POINT),
    Case("AWS_S3_USE_ARN_REGION=false", R | {"AWS_S3_USE_ARN_REGION": "false"}, bucket=ACCESS_POINT),
    Case("AWS_S3_USE_ARN_REGION=", R | {"AWS_S3_USE_ARN_REGION": ""}, bucket=ACCESS_POINT, why=EMPTY),
    Case("a directory bucket", R, bucket=DIRECTORY),
    Case("s3_disable_express_session_auth = true", R, f"{_NO_SESSION} = true", bucket=DIRECTORY),
    Case(
        "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH=true",
        R | {f"AWS_{_NO_SESSION.upper()}": "true"},
        bucket=DIRECTORY,
    ),
    _of_role("a role, region", {}, "region = eu-west-1"),
    _of_role("a role, AWS_DEFAULT_REGION", R, "region = eu-west-2"),
    _of_role("a role, AWS_REGION", {"AWS_REGION": "eu-west-1"}, "region = eu-west-2", why=REGION),
    _of_role("a role, --region", R, "", ("--region", "eu-west-3")),
    _of_role("a role, no region", {}),
    _of_role("a role, sts_regional_endpoints = legacy", R, "sts_regional_endpoints = legacy"),
    _of_role("a role, AWS_ENDPOINT_URL_STS", R | {"AWS_ENDPOINT_URL_STS": "https://sts.internal"}),
    _of_role("a role, --endpoint-url", R, "", ("--endpoint-url", STORE)),
    _of_role("a role, --ca-bundle", R, "ca_bundle = {home}/b.pem", ("--ca-bundle", "{home}/a.pem"))._replace(
        without=(*_KEYS, "AWS_CA_BUNDLE")
    ),
    _of_role("a role, --no-verify-ssl", R, "", ("--no-verify-ssl",))._replace(
        without=(*_KEYS, "AWS_CA_BUNDLE")
    ),
    _in_parts("no multipart_threshold, 12 MiB", 12 * MIB, why=PARTS),
    _in_parts("multipart_threshold = 13MB, 12 MiB", 12 * MIB, "multipart_threshold = 13MB"),
    _in_parts("multipart_chunksize = 5MB, 12 MiB", 12 * MIB, "multipart_chunksize = 5MB", why=PARTS),
    _in_parts("threshold and chunksize = 5MB, 12 MiB", 12 * MIB, *_THRESHOLD, "multipart_chunksize = 5MB"),
    _in_parts("threshold 5MB, chunksize = 7MiB, 12 MiB", 12 * MIB, *_THRESHOLD, "multipart_chunksize = 7MiB"),
    _in_parts("threshold 5MB, chunksize = 1MB, 12 MiB", 12 * MIB, *_THRESHOLD, "multipart_chunksize = 1MB"),
    _tried("max_attempts = 2", R, "max_attempts = 2"),
    _tried("AWS_MAX_ATTEMPTS=3", R | {"AWS_MAX_ATTEMPTS": "3"}, "max_attempts = 2"),
    _tried("AWS_MAX_ATTEMPTS=", R | {"AWS_MAX_ATTEMPTS": ""}, "max_attempts = 2", why=EMPTY),
    _at_once("max_concurrent_requests = 2, 12 files", "max_concurrent_requests = 2"),
    _at_once("no max_concurrent_requests, 12 files", "", "how many at once, the answers decide"),
]
BASE = Case("base", R)

TUNING = (
    (
        "`max_concurrent_requests`",
        "so many threads (10)",
        "`--max-in-flight`: an upper bound; how many, the answers decide",
    ),
    (
        "`multipart_threshold`",
        "from this size on in parts (8MB)",
        "`--multipart-threshold`, at most `--max-in-flight-bytes`",
    ),
    (
        "`multipart_chunksize`",
        "size of a part (8MB)",
        "`--part-size`, from 5 MiB to 5 GiB",
    ),
    (
        "`max_bandwidth`",
        "never more (its MB are 2^20 bytes)",
        "`--max-bandwidth`, at least 16 kB/s",
    ),
    (
        "`max_attempts`, `AWS_MAX_ATTEMPTS`",
        "tries in all",
        "`--n-retries`, one less",
    ),
    (
        "`retry_mode`, `AWS_RETRY_MODE`",
        "legacy, standard, adaptive",
        "no counterpart: when to try again, the answers decide",
    ),
    (
        "`max_queue_size`, `io_chunksize`",
        "its own queues",
        "no counterpart: `--max-in-flight-bytes` bounds the memory",
    ),
    (
        "`preferred_transfer_client`, `target_bandwidth`",
        "classic or CRT",
        "no counterpart: there is one client",
    ),
    (
        "`tcp_keepalive`, `cli_read_timeout`",
        "of its sockets",
        "no counterpart: three timers learn how long to wait",
    ),
)
"""What the AWS CLI has beyond botocore: setting, there, here."""
