"""The page docs/settings.md: what botocore, as the AWS CLI runs it, makes of a setting, and what we make.

Both read the same files and variables.  Botocore's client is asked for a PutObject, whose request is kept in
place of being sent.  Of each case the whole reading is compared: URL, region of the signature, checksum,
payload hash, application, whom TLS trusts.  The page shows what differs from a run without the setting.

    python -m tests.settings_matrix --write
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader

from s3_upload.errors import S3UploadError
from s3_upload.s3.endpoint import endpoint_for
from s3_upload.settings import resolve_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
REFUSED = {"all": "refused"}
GLOBAL = "the region's own name instead of the global one, which leads to us-east-1 as well"
EMPTY = "an empty variable counts as unset, whichever it is; for the AWS CLI that depends on the variable"
REGION = "the AWS CLI, version 2, reads AWS_REGION too; botocore does not"
NO_DOTS = "told before anything is sent: no certificate of AWS's covers it, or the name is none for DNS"
TLS = "TLS guards the body on its way; payload_signing_enabled has its hash signed all the same"
TRAILER = "botocore lets the checksum behind the body take its place; who asks for it gets it here"
WORD = "a word that is neither true nor false is an error: taken for false it would turn FIPS off in silence"


NOTHING: Mapping[str, Any] = MappingProxyType({})


class Case(NamedTuple):
    """`variables`, the lines of `[default]`, and `flags` of both; `why`: the reason of a difference."""

    what: str
    variables: Mapping[str, str] = NOTHING
    config: str = ""
    flags: Mapping[str, Any] = NOTHING
    bucket: str = "photos"
    why: str = ""


def _nested(line: str) -> str:
    return f"s3 =\n    {line}"


R = {"AWS_DEFAULT_REGION": "eu-west-1"}
STORE = "http://store.internal:9000"
CASES = [
    Case("nothing at all", why=GLOBAL),
    Case("region = eu-west-1", config="region = eu-west-1"),
    Case("AWS_DEFAULT_REGION", {"AWS_DEFAULT_REGION": "eu-west-1"}, "region = eu-west-2"),
    Case("AWS_REGION", {"AWS_REGION": "eu-west-1"}, "region = eu-west-2", why=REGION),
    Case("AWS_REGION=", {"AWS_REGION": ""}, "region = eu-west-2"),
    Case("AWS_DEFAULT_REGION=", {"AWS_DEFAULT_REGION": ""}, "region = eu-west-2", why=EMPTY),
    Case("--region", R, flags={"region": "eu-west-3"}),
    Case("--region aws-global", flags={"region": "aws-global"}, why=GLOBAL),
    Case("--region fips-us-gov-west-1", flags={"region": "fips-us-gov-west-1"}),
    Case("--region us-gov-west-1-fips", flags={"region": "us-gov-west-1-fips"}),
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
    Case("--endpoint-url", R, flags={"endpoint_url": STORE}),
    Case("addressing_style = path", R, _nested("addressing_style = path")),
    Case("addressing_style = virtual", R, _nested("addressing_style = virtual")),
    Case("virtual, a store", R, _nested("addressing_style = virtual"), {"endpoint_url": STORE}),
    Case(
        "virtual, an address",
        R,
        _nested("addressing_style = virtual"),
        {"endpoint_url": "http://127.0.0.1:9"},
    ),
    Case("virtual, a bucket with dots", R, _nested("addressing_style = virtual"), {}, "a.b.c", NO_DOTS),
    Case("auto, a bucket with dots", R, bucket="a.b.c"),
    Case("use_accelerate_endpoint = true", R, _nested("use_accelerate_endpoint = true")),
    Case("an accelerate endpoint as URL", R, flags={"endpoint_url": "https://s3-accelerate.amazonaws.com"}),
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
    Case("use_fips_endpoint, a store", R, "use_fips_endpoint = true", {"endpoint_url": STORE}),
    Case("ca_bundle", R, "ca_bundle = {home}/a.pem"),
    Case("AWS_CA_BUNDLE", R | {"AWS_CA_BUNDLE": "{home}/b.pem"}, "ca_bundle = {home}/a.pem"),
    Case("AWS_CA_BUNDLE=", R | {"AWS_CA_BUNDLE": ""}, "ca_bundle = {home}/a.pem", why=EMPTY),
    Case("REQUESTS_CA_BUNDLE", R | {"REQUESTS_CA_BUNDLE": "{home}/c.pem"}),
    Case(
        "REQUESTS_CA_BUNDLE, ca_bundle",
        R | {"REQUESTS_CA_BUNDLE": "{home}/c.pem"},
        "ca_bundle = {home}/a.pem",
    ),
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
]
BASE = Case("base", R)
_LOADER = create_loader()
_read: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
_CHECKSUMS = ("x-amz-checksum-", "x-amz-trailer")

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


@contextmanager
def machine(case: Case) -> Iterator[Path]:
    """A home with this config, and these variables alone."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in ("a.pem", "b.pem", "c.pem"):
            (home / name).touch()
        (home / ".aws").mkdir()
        (home / ".aws" / "config").write_text(f"[default]\n{case.config}\n".replace("{home}", folder))
        os.environ.clear()
        os.environ.update({"HOME": folder, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"})
        os.environ.update({name: text.replace("{home}", folder) for name, text in case.variables.items()})
        try:
            yield home
        finally:
            os.environ.clear()
            os.environ.update(before)


class _Raw(BytesIO):
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield b""


def theirs(case: Case, home: Path) -> dict[str, str]:
    """botocore's reading, of the request that it would send."""
    sent: list[Any] = []

    def keep(request: Any, **_: object) -> Any:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, _Raw())

    names = {"region": "region_name"}
    arguments = {names.get(name, name): value for name, value in case.flags.items()}
    try:
        session: Any = botocore.session.Session()
        session.register_component("data_loader", _LOADER)
        client = session.create_client("s3", **arguments)
        client.meta.events.register("before-send.s3.PutObject", keep)
        client.put_object(Bucket=case.bucket, Key="k", Body=b"x")
    except (BotoCoreError, ValueError):
        return REFUSED
    [request] = sent
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    scope = re.search(r"Credential=A/\d+/([^/]+)/", headers["authorization"])
    app = re.search(r"app/(\S+)", headers["user-agent"])
    verify = client._endpoint.http_session._verify
    return {
        "URL": request.url,
        "region": scope[1] if scope is not None else "",
        "CAs": _trusted(verify, home),
        "checksum": "sent" if any(name.startswith(_CHECKSUMS) for name in headers) else "none",
        "body": "unsigned" if "UNSIGNED-PAYLOAD" in headers["x-amz-content-sha256"] else "signed",
        "app": app[1] if app is not None else "",
    }


def ours(case: Case, home: Path) -> dict[str, str]:
    """Our reading."""
    try:
        found = resolve_settings(**case.flags)
        endpoint = endpoint_for(
            case.bucket, found.region, found.endpoint_url, found.addressing_style, found.variant
        )
    except S3UploadError:
        return REFUSED
    return {
        "URL": f"{endpoint.url}/k",
        "region": found.region,
        "CAs": _trusted(found.verify, home),
        "checksum": "sent" if found.checksum == "auto" else "none",
        "body": "signed" if found.signs_payload or not endpoint.tls else "unsigned",
        "app": found.app_id,
    }


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _trusted(verify: bool | str, home: Path) -> str:
    return verify.replace(str(home), "~") if isinstance(verify, str) else "the usual"


def readings(case: Case) -> tuple[dict[str, str], dict[str, str]]:
    """Theirs and ours."""
    if case.what not in _read:
        with machine(case) as home:
            _read[case.what] = theirs(case, home), ours(case, home)
    return _read[case.what]


def settings_in(text: str) -> list[str]:
    """What the rows of the page are about."""
    return [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]


def page() -> str:
    """The text of docs/settings.md."""
    base, _ = readings(BASE)
    lines = [
        "# Settings, beside the AWS CLI's",
        "",
        f"Made by `python -m tests.settings_matrix --write` with botocore {botocore.__version__}; a test "
        "compares it. Each row is read by botocore, as the AWS CLI has it read settings, and by us, from the "
        "same files and variables. A row shows what differs from a run in eu-west-1 without the setting, and "
        "wherever the two differ, why. `s3-upload config` shows what is in force on a machine, and where it "
        "came from.",
        "",
        "| setting | botocore, the AWS CLI's library | s3-upload | why they differ |",
        "| --- | --- | --- | --- |",
    ]
    for case in CASES:
        their, our = readings(case)
        shown = [name for name, usual in base.items() if {their.get(name), our.get(name)} != {usual}]
        if REFUSED in (their, our):
            shown = ["all", "URL"] if their != our else ["all"]
        cells = [_cells(shown, reading) for reading in (their, our)]
        lines.append(f"| `{case.what}` | {cells[0]} | {cells[1]} | {case.why if their != our else ''} |")
    lines += [
        "",
        "## Tuning",
        "",
        "What the AWS CLI has beyond botocore. Ours counts where neither a flag nor `S3_UPLOAD_*` says it.",
        "",
        "| setting | the AWS CLI | s3-upload |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in TUNING),
    ]
    return "\n".join([*lines, ""])


def _cells(shown: list[str], reading: dict[str, str]) -> str:
    return ", ".join(_cell(name, reading) for name in shown if name in reading) or "the same"


def _cell(name: str, reading: dict[str, str]) -> str:
    value = reading[name]
    return value if name == "all" else f"{name} `{value}`" if value else f"no {name}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page())
