"""The flags of the upload commands, as dataclasses from which the parser, the environment and the
help are made.

The tuning flags come from `UploadConfig` itself: its fields give name, type, default, range and help
of every `--flag` and `S3_UPLOAD_*` variable, so that nothing about them is written here.  The other
flags carry the AWS CLI's names where it has one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from cyclopts import Group, Parameter

from s3_upload.cli.output import UsageError
from s3_upload.config import GIB, UploadConfig, complaint
from s3_upload.content_type import content_type_by_name
from s3_upload.errors import AttemptError, ConfigError
from s3_upload.filters import Filters, Rule
from s3_upload.parts import MAX_PART_BYTES, MAX_PARTS, part_size_for
from s3_upload.request_fields import CUSTOMER_KEY_BYTES, NO_FIELDS, CustomerKey, RequestFields
from s3_upload.s3.fields import field_headers
from s3_upload.source import ObjectSource, utf8_of
from s3_upload.units import parse_size, parse_time_s, show_size, show_time

SOURCES = Group("Sources", sort_key=0)
STORE = Group("Store", sort_key=1)
OUTPUT = Group("Output", sort_key=2)
OBJECTS = Group("Objects", sort_key=3)
TUNING = Group("Tuning (defaults suit an ordinary machine and S3)", sort_key=4)

_VARIANTS = ("use_accelerate_endpoint", "use_dualstack_endpoint", "use_fips_endpoint")
_NOT_EMBEDDED = ("endpoint_url", *_VARIANTS, "no_sign_request", "client_cert")


def flag(help_text: str, *env: str, name: str | tuple[str, ...] | None = None) -> Parameter:
    return Parameter(name=name, help=help_text, env_var=list(env) or None, negative=(), show_default=False)


def _convert_rules(type_: Any, tokens: Any) -> tuple[Rule, ...]:
    """Both flags in one field, in the order in which they were given: the last match wins."""
    return tuple(Rule(utf8_of(token.value), include=token.keyword == "--include") for token in tokens)


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What to upload of the sources."""

    rules: Annotated[
        tuple[Rule, ...],
        Parameter(
            name=("--exclude", "--include"),
            help="Leave out what matches, or take it all the same; may be repeated, and the last match wins. "
            "A GLOB without / is a name at any depth (node_modules, *.tmp), one with / a path from the "
            "source's root (docs/*.pdf); ** crosses directories. A directory left out is not walked.",
            converter=_convert_rules,
            n_tokens=1,
            json_list=False,  # a pattern may begin with "["
            json_dict=False,
            negative=(),
            show_default=False,
        ),
    ] = ()

    recursive: Annotated[
        bool,
        flag(
            "Accepted for fingers that are used to it: directories go with all that is in them anyway.",
            name=("--recursive", "-r"),
        ),
    ] = False

    def filters(self) -> Filters | None:
        """Raises `UsageError`."""
        try:
            return Filters(self.rules) if self.rules else None
        except ConfigError as error:
            raise UsageError(f"--{error}") from None


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Which store, and as whom; credentials come from botocore's chain (AWS_ACCESS_KEY_ID & co).

    The client itself looks up what no flag gives: it knows the order of environment and config
    files, and that a profile in the environment counts for less than a key there.
    """

    endpoint_url: Annotated[
        str | None, flag("URL of a store other than AWS (also AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL).")
    ] = None
    region: Annotated[str | None, flag("Region of the bucket (also AWS_REGION).")] = None
    profile: Annotated[str | None, flag("Profile of the AWS config files (also AWS_PROFILE).")] = None
    addressing_style: Annotated[
        Literal["auto", "path", "virtual"], flag("Where requests name the bucket (default: auto).")
    ] = "auto"
    use_accelerate_endpoint: Annotated[
        bool, flag("AWS's endpoint nearest to here, for buckets that allow it.")
    ] = False
    use_dualstack_endpoint: Annotated[
        bool, flag("AWS's endpoint for IPv4 and IPv6 (also AWS_USE_DUALSTACK_ENDPOINT).")
    ] = False
    use_fips_endpoint: Annotated[
        bool, flag("AWS's endpoint with FIPS cryptography (also AWS_USE_FIPS_ENDPOINT).")
    ] = False
    no_sign_request: Annotated[bool, flag("Sign nothing and look up no credentials: for public buckets.")] = (
        False
    )
    client_cert: Annotated[
        str | None, flag("PEM file with the certificate to show the store, and its key unless --client-key.")
    ] = None
    client_key: Annotated[str | None, flag("PEM file with the key of --client-cert, not encrypted.")] = None
    no_verify_ssl: Annotated[bool, flag("Do not check the store's certificate.")] = False
    ca_bundle: Annotated[str | None, flag("File of certificates to trust (also AWS_CA_BUNDLE).")] = None
    checksum: Annotated[
        Literal["auto", "when-required", "off"] | None,
        flag("When to send checksums (default: auto, or as AWS_REQUEST_CHECKSUM_CALCULATION says)."),
    ] = None
    checksum_algorithm: Annotated[
        Literal["CRC32", "CRC32C", "CRC64NVME", "SHA256", "SHA1"],
        flag("Which ones (default: CRC32); CRC32C and CRC64NVME need the extra crt."),
    ] = "CRC32"
    create_bucket: Annotated[bool, flag("Make the bucket if there is none of that name.")] = False
    embedded: Annotated[
        str | None,
        flag("Upload to a store of our own that keeps its buckets in this directory, run for the occasion."),
    ] = None

    @property
    def names_aws(self) -> bool:
        """Whether a flag asks for one of AWS's own endpoints."""
        return any(getattr(self, name) for name in _VARIANTS)

    def __post_init__(self) -> None:
        if self.endpoint_url is not None:
            from s3_upload.s3.endpoint import check_endpoint_url

            check_endpoint_url(self.endpoint_url, "--endpoint-url")
        if self.client_key is not None and self.client_cert is None:
            raise UsageError("--client-key: the certificate is missing: give --client-cert")
        if self.embedded is not None:
            for name in _NOT_EMBEDDED:
                if getattr(self, name):
                    other = f"--{name.replace('_', '-')}"
                    raise UsageError(f"--embedded and {other} do not go together: leave one out")

    @property
    def client_certificate(self) -> str | tuple[str, str] | None:
        """As `S3Client` takes it."""
        if self.client_cert is None or self.client_key is None:
            return self.client_cert
        return self.client_cert, self.client_key

    @property
    def verify(self) -> bool | str:
        """As `S3Client` takes it. Raises `UsageError` if the CA bundle is no file."""
        if self.no_verify_ssl:
            return False
        if self.ca_bundle is not None and not Path(self.ca_bundle).is_file():
            raise UsageError(f"--ca-bundle {self.ca_bundle}: no such file")
        return self.ca_bundle or True


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How to tell about it."""

    progress: Annotated[
        Literal["auto", "bar", "plain", "none"],
        flag(
            "What shows how far it is. bar: a block at the bottom of the terminal; plain: a line after 10 s, "
            "30 s later, then each minute; auto: bar on a terminal, else plain."
        ),
    ] = "auto"
    no_progress: Annotated[bool, flag("The same as --progress none.")] = False
    quiet: Annotated[bool, flag("Say nothing; the exit code tells.", name=("--quiet", "-q"))] = False
    only_show_errors: Annotated[bool, flag("Say only what failed.")] = False
    json: Annotated[bool, flag("A line of JSON on stdout for every file, and one for the run.")] = False
    verbose: Annotated[bool, flag("A line for every file that is uploaded.", name=("--verbose", "-v"))] = (
        False
    )
    report: Annotated[str | None, flag("Write a page about the run here, with charts.")] = None
    failed_to: Annotated[
        str | None, flag("Write the sources that failed here, one a line, as they fail.")
    ] = None
    null: Annotated[bool, flag("In --failed-to, NUL after each name.", name=("-0", "--null"))] = False
    dryrun: Annotated[
        bool,
        flag(
            "Say what would be uploaded where, and how much it is, and do nothing.",
            name=("--dryrun", "--dry-run"),
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.dryrun and self.report is not None:
            raise UsageError("--dryrun and --report do not go together: leave one out")
        if self.dryrun and self.failed_to is not None:
            raise UsageError("--dryrun and --failed-to do not go together: leave one out")
        if self.null and self.failed_to is None:
            raise UsageError("-0 is for --failed-to: give that, too")


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """What to say of every object; the flags are those of `aws s3 cp`, else of `aws s3api`."""

    content_type: Annotated[str | None, flag("Content-Type (default: guessed from the name).")] = None
    content_type_map: Annotated[
        str | None, flag("Types of your own by suffix, as a file in the format of mime.types.")
    ] = None
    content_encoding: Annotated[
        str | None, flag("Content-Encoding (default: guessed from names such as x.js.gz and x.svgz).")
    ] = None
    content_disposition: Annotated[str | None, flag("Content-Disposition.")] = None
    content_language: Annotated[str | None, flag("Content-Language.")] = None
    cache_control: Annotated[str | None, flag("Cache-Control.")] = None
    expires: Annotated[str | None, flag("When the object is stale: an HTTP date.")] = None
    acl: Annotated[str | None, flag("Canned ACL, such as public-read.")] = None
    grant_full_control: Annotated[str | None, flag("Who gets all rights: id=..., uri=...")] = None
    grant_read: Annotated[str | None, flag("Who may read the object.")] = None
    grant_read_acp: Annotated[str | None, flag("Who may read its ACL.")] = None
    grant_write_acp: Annotated[str | None, flag("Who may change its ACL.")] = None
    storage_class: Annotated[str | None, flag("Storage class, such as STANDARD_IA.")] = None
    website_redirect_location: Annotated[
        str | None, flag("Where a bucket that is a website redirects to.", name="--website-redirect")
    ] = None
    server_side_encryption: Annotated[
        str | None, flag("Server-side encryption: AES256 or aws:kms.", name="--sse")
    ] = None
    sse_kms_key_id: Annotated[str | None, flag("ID of the KMS key for --sse aws:kms.")] = None
    sse_kms_encryption_context: Annotated[str, flag("Context of the KMS key: KEY=VALUE,KEY=VALUE.")] = ""
    bucket_key_enabled: Annotated[bool, flag("Use a bucket key with --sse aws:kms.")] = False
    sse_c: Annotated[Literal["AES256"] | None, flag("Encrypt with a key of your own (https only).")] = None
    sse_c_key: Annotated[
        str | None,
        flag("The key of --sse-c: fileb://PATH (32 bytes) or base64.", "S3_UPLOAD_SSE_C_KEY"),
    ] = field(default=None, repr=False)
    object_lock_mode: Annotated[str | None, flag("GOVERNANCE or COMPLIANCE.")] = None
    object_lock_retain_until_date: Annotated[
        str | None, flag("Until when the object is locked: 2030-12-31T00:00:00Z.")
    ] = None
    object_lock_legal_hold_status: Annotated[str | None, flag("Legal hold: ON or OFF.")] = None
    if_none_match: Annotated[bool, flag("Never overwrite: a file whose object exists fails.")] = False
    no_clobber: Annotated[
        bool,
        flag(
            "Never overwrite: a file whose object exists is skipped (as --if-exists skip).",
            name=("--no-clobber", "--no-overwrite"),
        ),
    ] = False
    request_payer: Annotated[Literal["requester"] | None, flag("Who pays: requester.")] = None
    expected_bucket_owner: Annotated[str | None, flag("Account that must own the bucket.")] = None
    metadata: Annotated[str, flag("The object's own metadata: KEY=VALUE,KEY=VALUE.")] = ""
    tags: Annotated[str, flag("The object's tags: KEY=VALUE,KEY=VALUE.")] = ""

    def default_request(self) -> Callable[[ObjectSource], RequestFields]:
        """What is said of each object. Raises `UsageError` and `ConfigError`."""
        fields = self.request_fields()
        try:
            return content_type_by_name(fields, self.content_type_map)
        except ConfigError as error:
            raise UsageError(f"--content-type-map {error}") from error

    def request_fields(self) -> RequestFields:
        """`NO_FIELDS` itself if no flag was given. Raises `UsageError` and `ConfigError`."""
        given: dict[str, Any] = {
            spec.name: _as_sent(getattr(self, spec.name)) for spec in dataclasses.fields(self)
        }
        for name in ("metadata", "tags", "sse_kms_encryption_context"):
            given[name] = parse_pairs(f"--{name.replace('_', '-')}", given[name] or "")
        given["if_none_match"] = "*" if self.if_none_match else None
        given["expires"] = _time(given["expires"])
        key = self.sse_c_key  # a path, perhaps
        del given["sse_c_key"], given["no_clobber"], given["content_type_map"]
        if given.pop("sse_c") and key is None:
            raise UsageError("--sse-c: the key is missing: give --sse-c-key, or set S3_UPLOAD_SSE_C_KEY")
        given["sse_customer_key"] = customer_key(key) if key else None
        if not any(given.values()):
            return NO_FIELDS
        fields = RequestFields(**given)
        try:
            field_headers(fields)
        except AttemptError as error:  # here once, and not of each file
            raise UsageError(error.message) from error
        return fields


def _as_sent(value: Any) -> Any:
    """What a flag says, as the store gets it: a text in UTF-8, whatever the locale is; None for nothing."""
    return utf8_of(value) if isinstance(value, str) and value else value or None


def customer_key(text: str) -> CustomerKey:
    """The key that --sse-c-key names or spells. Raises `UsageError` and `ConfigError`, without it."""
    if not text.startswith("fileb://"):
        return CustomerKey.from_base64(text)
    path = text.removeprefix("fileb://")
    try:
        with Path(path).open("rb") as file:
            return CustomerKey(file.read(CUSTOMER_KEY_BYTES + 1))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise UsageError(f"--sse-c-key {text}: {getattr(error, 'strerror', None) or error}") from error


def _time(text: str | None) -> datetime | str | None:
    """A time in ISO 8601, which the AWS CLI takes too; other text as it is."""
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return text


def parse_pairs(option: str, text: str) -> dict[str, str]:
    """The pairs of "k=v,k=v", with or without blanks around; a value may hold "=" but no ",". Raises
    `UsageError`."""
    pairs: dict[str, str] = {}
    for item in text.split(",") if text else ():
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option} {text}: {item or 'an empty item'} is not KEY=VALUE")
        if key.strip() in pairs:
            raise UsageError(f"{option} {text}: {key.strip()} is given twice")
        pairs[key.strip()] = value.strip(" \t")  # no more than that: other white space is meant
    return pairs


Read = Callable[[str], Any]
Show = Callable[[Any], str]


def _converter(read: Read, spec: dataclasses.Field[Any] | None = None, show: Show = "{:,}".format) -> Any:
    """Reads the text of a flag or variable, and says at once what is wrong with it: the parser knows where it
    stood. `spec`: the field of `UploadConfig` that it is for."""

    def convert(type_: Any, tokens: Any) -> Any:
        text = tokens[0].value
        try:
            value = read(text)
        except ValueError as error:
            wrong = complaint(spec, text, show) if spec is not None and read in {int, float} else ""
            raise ValueError(wrong or str(error).removeprefix(f"{text} ")) from None
        if spec is not None and (wrong := complaint(spec, value, show)):
            raise ValueError(wrong)
        return value

    return convert


_UNITS: dict[tuple[bool, bool], tuple[Read, Show]] = {
    (True, False): (parse_size, show_size),
    (False, True): (parse_time_s, show_time),
}
_NUMBERS: dict[object, Read] = {int: int, float: float, str: str}


def _tuning_flag(spec: dataclasses.Field[Any], hint: Any) -> tuple[str, Any, Any]:
    """One field of `UploadConfig` as a field that carries its flag. A whole number whose range
    reaches a GiB counts bytes; what is named `_s` counts seconds, and its flag needs no `-s`."""
    is_size = hint is int and spec.metadata.get("high", 0) >= GIB
    is_time = spec.name.endswith("_s")
    read, show = _UNITS.get((is_size, is_time), (_NUMBERS.get(hint), None))
    flag_name = f"--{spec.name.replace('_', '-')}"
    parameter = Parameter(
        name=(flag_name.removesuffix("-s"), flag_name) if is_time else flag_name,
        help=spec.metadata["help"],
        env_var=f"S3_UPLOAD_{spec.name.upper()}",
        converter=None if read is None else _converter(read, spec, show or "{:,}".format),
        show_default=show,
        negative=(),
    )
    return spec.name, Annotated[hint, parameter], spec.default


if TYPE_CHECKING:
    TuningOptions = UploadConfig
else:
    _hints = get_type_hints(UploadConfig)
    TuningOptions = dataclasses.make_dataclass(
        "TuningOptions",
        [_tuning_flag(spec, _hints[spec.name]) for spec in dataclasses.fields(UploadConfig)],
        frozen=True,
        kw_only=True,
    )
    TuningOptions.__module__ = __name__  # or the parser would look its annotations up in `types`


@dataclass(frozen=True, kw_only=True)
class UploadOptions:
    """All flags of an upload command."""

    sources: Annotated[SourceOptions, Parameter(name="*", group=SOURCES)] = SourceOptions()
    store: Annotated[StoreOptions, Parameter(name="*", group=STORE)] = StoreOptions()
    output: Annotated[OutputOptions, Parameter(name="*", group=OUTPUT)] = OutputOptions()
    objects: Annotated[ObjectOptions, Parameter(name="*", group=OBJECTS)] = ObjectOptions()
    tuning: Annotated[TuningOptions, Parameter(name="*", group=TUNING)] = field(default_factory=TuningOptions)
    expected_size: Annotated[
        int,
        Parameter(
            help="About how much will come in by stdin: all parts are big enough for it. Without it they "
            "grow from 26 GB on. Those that do not fit into memory wait in TMPDIR.",
            group=OBJECTS,
            converter=_converter(parse_size),
            show_default=False,
            negative=(),
        ),
    ] = 0

    def config(self) -> UploadConfig:
        """Raises `UsageError` for values that do not go together."""
        tuning = self.tuning
        if tuning.multipart_threshold > tuning.max_in_flight_bytes:
            raise UsageError(
                f"--multipart-threshold {show_size(tuning.multipart_threshold)}: must not be more than the "
                f"{show_size(tuning.max_in_flight_bytes)} of --max-in-flight-bytes"
            )
        config = UploadConfig(**dataclasses.asdict(self.tuning))
        part_size = part_size_for(self.expected_size, config.part_size)
        if part_size > MAX_PART_BYTES:
            most = show_size(MAX_PARTS * MAX_PART_BYTES)
            raise UsageError(
                f"--expected-size {show_size(self.expected_size)}: no object has more than {most}"
            )
        if_exists = "skip" if self.objects.no_clobber else config.if_exists
        return dataclasses.replace(config, part_size=part_size, if_exists=if_exists)
