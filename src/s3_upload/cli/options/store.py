"""The flags that say which store, and as whom."""

from __future__ import annotations

import os
from dataclasses import field
from typing import Annotated, Any, Literal

from s3_upload.cli.options.classes import options_class
from s3_upload.cli.options.objects import flag
from s3_upload.cli.output import UsageError
from s3_upload.proxy import NONE, parse_proxy

_VARIANTS = ("use_accelerate_endpoint", "use_dualstack_endpoint", "use_fips_endpoint")
_NOT_EMBEDDED = ("endpoint_url", *_VARIANTS, "no_sign_request", "client_cert", "proxy")


@options_class(frozen=True, kw_only=True)
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
    ca_bundle: Annotated[
        str | None, flag("File of certificates to trust (also AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE).")
    ] = None
    proxy: Annotated[
        str | None,
        flag("URL of a proxy, or none (else HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY)."),
    ] = field(default=None, repr=False)
    checksum: Annotated[
        Literal["auto", "when-required", "off"] | None,
        flag("When to send checksums (default: auto, or as AWS_REQUEST_CHECKSUM_CALCULATION says)."),
    ] = None
    checksum_algorithm: Annotated[
        Literal[
            "CRC32", "CRC32C", "CRC64NVME", "SHA256", "SHA1", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128"
        ],
        flag("Which ones (default: CRC32); CRC32C, CRC64NVME and the XXHASHes need the extra crt."),
    ] = "CRC32"
    payload_signing: Annotated[
        Literal["auto", "always", "never"] | None,
        flag(
            "Sign the hash of what is sent: auto (the default): over http, or as the profile says; "
            "never: the checksum alone protects it, and no SHA-256 is computed."
        ),
    ] = None
    create_bucket: Annotated[bool, flag("Make the bucket if there is none of that name.")] = False
    embedded: Annotated[
        str | None,
        flag(
            "Upload to a store that is run for this command, and keeps its buckets in this directory: both "
            "are made where they are not there, also to compare with."
        ),
    ] = None

    @property
    def names_aws(self) -> bool:
        """Whether a flag asks for one of AWS's own endpoints."""
        return any(getattr(self, name) for name in _VARIANTS)

    def __post_init__(self) -> None:
        if self.endpoint_url is not None:
            from s3_upload.s3.endpoint import check_endpoint_url

            check_endpoint_url(self.endpoint_url, "--endpoint-url")
        if self.region:
            from s3_upload.s3.endpoint import check_region

            # Of any store: an endpoint may come from elsewhere, and without one AWS's names are asked for.
            check_region(self.region, self.endpoint_url or "", "--region")
        if self.proxy is not None and self.proxy != NONE:
            parse_proxy(self.proxy, "--proxy")
        if self.client_key is not None and self.client_cert is None:
            raise UsageError("--client-key: the certificate is missing: give --client-cert")
        if self.embedded is not None:
            for name in _NOT_EMBEDDED:
                if getattr(self, name):
                    other = f"--{name.replace('_', '-')}"
                    raise UsageError(f"--embedded and {other} do not go together: leave one out")

    def settings(self) -> dict[str, Any]:
        """As `resolve_settings` takes them, and `S3Client`. A flag that is not given leaves it to environment
        and profile."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "profile": self.profile,
            "addressing_style": self.addressing_style,
            **{name: getattr(self, name) or None for name in _VARIANTS},
            "verify": self.verify,
            "checksum": self.checksum,
            "payload_signing": self.payload_signing,
            "proxy": self.proxy,
        }

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
        # A Path raises where it may not look.
        if self.ca_bundle is not None and not os.path.isfile(self.ca_bundle):  # noqa: PTH113
            raise UsageError(f"--ca-bundle {self.ca_bundle}: no such file")
        return self.ca_bundle or True
