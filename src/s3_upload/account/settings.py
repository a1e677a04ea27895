"""Which store and how to speak to it: the settings in force, as every AWS tool finds them.

`resolve_settings` reads region, endpoint and its variants, addressing style, checksums and CA bundle:
argument, then environment, then profile, then default, in botocore's order
(https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

import msgspec

from s3_upload.account.profile import Profile, nested, read_profile, set_variables
from s3_upload.errors import ConfigError
from s3_upload.proxy import DIRECT, ProxyRules, proxy_rules
from s3_upload.s3.endpoint import (
    ADDRESSING_STYLES,
    AddressingStyle,
    Endpoint,
    check_endpoint_url,
    check_region,
    endpoint_for,
)
from s3_upload.s3.variant import AWS_GLOBAL, STANDARD, Variant, real_region

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_REGION = "us-east-1"
ChecksumMode = Literal["auto", "when-required", "off"]
CHECKSUM_MODES = get_args(ChecksumMode)
PayloadSigning = Literal["auto", "always", "never"]
PAYLOAD_SIGNINGS = get_args(PayloadSigning)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to reach the store. `endpoint_url` None is AWS itself, of which `variant` counts.

    `verify`: True for the system's trusted certificates, the path of a CA bundle, or False for none.
    `payload_signing`: when the body's hash is signed (`hashes_payload`). `app_id`: part of the User-Agent.
    `arn_region`: an access point's ARN says the region. `express_sessions`: requests to directory buckets
    are signed with the credentials of a session.
    """

    region: str
    endpoint_url: str | None
    addressing_style: AddressingStyle
    verify: bool | str
    checksum: ChecksumMode
    variant: Variant = STANDARD
    proxies: ProxyRules = DIRECT
    payload_signing: PayloadSigning = "auto"
    app_id: str = ""
    arn_region: bool = True
    express_sessions: bool = True

    @property
    def store(self) -> str:
        """Which one it is, for people and journals."""
        return self.endpoint_url or f"S3 in {self.region}"

    def hashes_payload(self, *, tls: bool) -> bool:
        """Whether the body's hash is signed; else TLS guards it on its way, or a checksum alone does."""
        return self.payload_signing == "always" or (self.payload_signing == "auto" and not tls)

    def endpoint(self, bucket: str, region: str | None = None) -> Endpoint:
        """Where requests for `bucket` go; `region`: where it is known to be. Raises `ConfigError`."""
        return endpoint_for(
            bucket,
            region or self.region,
            self.endpoint_url,
            self.addressing_style,
            self.variant,
            arn_region=self.arn_region,
        )


def resolve_settings(
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    addressing_style: AddressingStyle = "auto",
    verify: bool | str = True,
    checksum: ChecksumMode | None = None,
    payload_signing: PayloadSigning | None = None,
    use_accelerate_endpoint: bool | None = None,
    use_dualstack_endpoint: bool | None = None,
    use_fips_endpoint: bool | None = None,
    profile: str | None = None,
    proxy: str | None = None,
    environ: Mapping[str, str] = os.environ,
    origins: dict[str, str] | None = None,
) -> Settings:
    """The settings in force; an argument left at its default is looked up.

    Where the endpoint is a custom one, variants that environment or profile ask for mean nothing (as in
    botocore), and those that an argument asks for are an error.

    Reads the config and credentials files (milliseconds). Raises `ConfigError` for a wrong value or
    file, naming where it came from, and `RunError` for a profile that does not exist.  `origins` is told
    where each setting was found that is not a default.
    """
    environ = set_variables(environ)
    found = _Sought(environ, read_profile(profile, environ), {} if origins is None else origins)
    style = _style(addressing_style, found)
    url = _endpoint_url(endpoint_url, found)
    asked = {
        "accelerate": use_accelerate_endpoint,
        "dualstack": use_dualstack_endpoint,
        "fips": use_fips_endpoint,
    }
    proxies = proxy_rules(proxy, environ)
    region, fips, is_global = _region(region, found)
    region_from = found.origins.get("region", "region")
    check_region(region, url, "region" if region_from == "flag" else region_from)
    by_region = fips and use_fips_endpoint is None and url is None
    if by_region:
        asked["fips"] = True
    variant = _variant(asked, found) if url is None else _no_variant(asked, url)
    if by_region:
        found.origins["use_fips_endpoint"] = f"region, {found.origins['region']}"
    if url is None and (_is_legacy(found) or is_global):
        found.origins.setdefault("global_endpoint", found.origins.get("region", ""))
        variant = msgspec.structs.replace(variant, is_global=True)
    return Settings(
        region=region,
        endpoint_url=url,
        addressing_style=style,
        verify=_verify(verify, found) if _needs_certificates(url, proxies) else verify,
        checksum=_checksum(checksum, found),
        variant=variant,
        proxies=proxies,
        payload_signing=_payload_signing(payload_signing, found),
        app_id=_app_id(found),
        arn_region=_arn_region(found),
        express_sessions=not _no_sessions(found),
    )


class _Sought(NamedTuple):
    """Where settings are looked for; `origins` keeps where they were found."""

    environ: Mapping[str, str]
    profile: Profile
    origins: dict[str, str]

    def variable(self, name: str) -> tuple[str, Any]:
        return name, self.environ.get(name)

    def in_profile(self, key: str) -> tuple[str, Any]:
        return self.profile.origin(key), self.profile.keys.get(key)

    def in_s3(self, key: str) -> tuple[str, Any]:
        return f"{self.profile.origin('s3')} s3", self.profile.s3.get(key)

    def first(self, setting: str, *places: tuple[str, Any], default: Any = None) -> Any:
        """The value of the first place that has one."""
        for origin, value in places:
            if value:
                self.origins[setting] = origin
                return value
        return default


def _style(argument: AddressingStyle, sought: _Sought) -> AddressingStyle:
    given = ("flag", "" if argument == "auto" else argument)
    style = sought.first("addressing_style", given, sought.in_s3("addressing_style"), default="auto")
    if style not in ADDRESSING_STYLES:
        raise ConfigError(f"addressing_style = {style!r}: must be one of {', '.join(ADDRESSING_STYLES)}")
    return cast("AddressingStyle", style)


def _region(argument: str | None, sought: _Sought) -> tuple[str, bool, bool]:
    """And whether its name asks for FIPS, and for the endpoint of no region."""
    name = sought.first(
        "region",
        ("flag", argument),
        sought.variable("AWS_REGION"),
        sought.variable("AWS_DEFAULT_REGION"),
        sought.in_profile("region"),
        default=DEFAULT_REGION,
    )
    return *real_region(name), AWS_GLOBAL in name


def _is_legacy(sought: _Sought) -> bool:
    """Whether us-east-1 is to be spoken to by the endpoint of no region, as the first AWS CLI does."""
    key = "us_east_1_regional_endpoint"
    places = sought.variable(f"AWS_S3_{key.upper()}"), sought.in_profile(f"s3_{key}"), sought.in_s3(key)
    word = str(sought.first("global_endpoint", *places, default="regional")).lower()
    if word not in {"regional", "legacy"}:
        raise ConfigError(f"s3_{key} = {word!r}: must be regional or legacy")
    return word == "legacy"


def _endpoint_url(argument: str | None, sought: _Sought) -> str | None:
    environ, profile = sought.environ, sought.profile
    if argument is not None:
        sought.origins["endpoint_url"] = "flag"
        return check_endpoint_url(argument).geturl()  # with a lower-case scheme
    name, scoped, services = profile.name, profile.keys, profile.services
    ignore = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or scoped.get(
        "ignore_configured_endpoint_urls"
    )
    if str(ignore).lower() == "true":
        return None
    where = f"endpoint_url of profile {name or 'default'}"
    variables = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    found = [(variable, variable, environ.get(variable)) for variable in variables]
    if not any(url for *_, url in found):  # as in botocore, a missing section hurts only who needs it
        section = scoped.get("services")
        if section is not None and section not in services:
            raise ConfigError(
                f"services = {section!r} in profile {name or 'default'}: there is no such section"
            )
        service = nested(nested(services, section), "s3") if section is not None else {}
        found = [
            (
                f"{where} (services {section})",
                f"{profile.origin('services')} services {section}",
                service.get("endpoint_url"),
            ),
            (where, profile.origin("endpoint_url"), scoped.get("endpoint_url")),
        ]
    for blamed, origin, url in found:
        if url:
            sought.origins["endpoint_url"] = origin
            return check_endpoint_url(url, blamed).geturl()
    return None


def _variant(asked: Mapping[str, bool | None], sought: _Sought) -> Variant:
    """In botocore's order: argument, then the profile's `s3` section, the environment, the profile."""

    def found(key: str) -> bool:
        variable = f"AWS_{key.upper()}"
        nested = sought.in_s3(key)
        on = _switch(f"{key} in the profile's s3 section", nested[1])
        if on:
            sought.origins[key] = nested[0]
            return True
        value = sought.first(key, sought.variable(variable), sought.in_profile(key))
        return _switch(f"{variable} or {key}", value)

    for name, argument in asked.items():
        if argument is not None:
            sought.origins[f"use_{name}_endpoint"] = "flag"
    return Variant(
        **{
            name: found(f"use_{name}_endpoint") if argument is None else argument
            for name, argument in asked.items()
        }
    )


def _no_variant(asked: Mapping[str, bool | None], url: str) -> Variant:
    for name, argument in asked.items():
        if argument:
            raise ConfigError(
                f"use_{name}_endpoint: is for AWS's own endpoints, not for {url}: leave one out"
            )
    return STANDARD


def _switch(origin: str, value: object) -> bool:
    """botocore takes all but "true" for false, which would turn FIPS off in silence."""
    switches = {"true": True, "false": False, "": False}
    word = str(value or "").lower()
    if word not in switches:
        raise ConfigError(f"{origin} = {word!r}: must be true or false")
    return switches[word]


def _checksum(mode: str | None, sought: _Sought) -> ChecksumMode:
    """botocore's setting has two values, of which "when_supported" is our "auto"."""
    if mode is None:
        key = "request_checksum_calculation"
        places = sought.variable(f"AWS_{key.upper()}"), sought.in_profile(key)
        found = str(sought.first("checksum", *places, default="when_supported")).lower()
        modes: dict[str, ChecksumMode] = {"when_supported": "auto", "when_required": "when-required"}
        if found not in modes:
            raise ConfigError(f"{key} = {found!r}: must be one of {', '.join(modes)}")
        return modes[found]
    return cast("ChecksumMode", _argument("checksum", mode, CHECKSUM_MODES, sought))


def _payload_signing(mode: str | None, sought: _Sought) -> PayloadSigning:
    """botocore's switch has the hash signed in any case, or only over http."""
    if mode is None:
        key = "payload_signing_enabled"
        return "always" if _switch(key, sought.first("payload_signing", sought.in_s3(key))) else "auto"
    return cast("PayloadSigning", _argument("payload_signing", mode, PAYLOAD_SIGNINGS, sought))


def _argument(name: str, value: str, known: tuple[str, ...], sought: _Sought) -> str:
    """`value`, which was given, if it is one of those that are known. Raises `ConfigError`."""
    if value not in known:
        raise ConfigError(f"{name} = {value!r}: must be one of {', '.join(known)}")
    sought.origins[name] = "flag"
    return value


def _arn_region(sought: _Sought) -> bool:
    key = "s3_use_arn_region"
    places = sought.variable(f"AWS_{key.upper()}"), sought.in_profile(key), sought.in_s3("use_arn_region")
    return _switch("use_arn_region", sought.first("use_arn_region", *places, default="true"))


def _no_sessions(sought: _Sought) -> bool:
    key = "s3_disable_express_session_auth"
    return _switch(
        key,
        sought.first("express_session_auth", sought.variable(f"AWS_{key.upper()}"), sought.in_profile(key)),
    )


def _app_id(sought: _Sought) -> str:
    """What the User-Agent says of whose program this is, in the characters that it may have."""
    places = sought.variable("AWS_SDK_UA_APP_ID"), sought.in_profile("sdk_ua_app_id")
    named = sought.first("sdk_ua_app_id", *places, default="")
    return re.sub(r"[^A-Za-z0-9!#$%&'*+.^_`|~-]", "-", str(named))


def _needs_certificates(url: str | None, proxies: ProxyRules) -> bool:
    """Whether TLS is spoken to anybody: a CA bundle that nothing needs is not looked at."""
    hops = (proxy.lower() for _, proxy in proxies.by_scheme.values())
    return url is None or url.startswith("https:") or any(hop.startswith("https:") for hop in hops)


def _verify(argument: bool | str, sought: _Sought) -> bool | str:
    """REQUESTS_CA_BUNDLE comes last, as in botocore. Raises `ConfigError` for a bundle that is not there."""
    if argument is not True:
        sought.origins["ca_bundle"] = "flag"
    else:
        argument = sought.first(
            "ca_bundle",
            sought.variable("AWS_CA_BUNDLE"),
            sought.in_profile("ca_bundle"),
            sought.variable("REQUESTS_CA_BUNDLE"),
            default=True,
        )
    if isinstance(argument, bool):
        return argument
    path = os.path.expanduser(argument)  # noqa: PTH111 - a Path raises where nobody has a home
    if not os.path.exists(path):  # noqa: PTH110 - a Path raises where it may not look
        raise ConfigError(f"CA bundle {argument!r}: there is no such file or directory")
    return path
