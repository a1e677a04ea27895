"""What the machine says about an account: settings and credentials, as every AWS tool finds them.

* `resolve_settings` reads region, endpoint and its variants, addressing style, checksums and CA bundle:
  argument, then environment, then profile, then default, in botocore's order
  (https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html).
* `BotocoreCredentials` hands out credentials from botocore's own chain: environment, profiles,
  assumed roles, SSO, credential processes, containers, instance metadata.

Importing botocore's session costs half a second, so it happens only when it is needed, in a thread,
and never for plain environment variables.  Parsing the config files needs only
`botocore.configloader`, which is light, and only where such a file exists.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import msgspec

from s3_upload.descriptors import patiently
from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.proxy import DIRECT, ProxyRules, parse_proxy, proxy_rules
from s3_upload.s3.credentials import (
    ANONYMOUS,
    CredentialProvider,
    Credentials,
    StaticCredentials,
    expired,
)
from s3_upload.s3.endpoint import ADDRESSING_STYLES, STANDARD, AddressingStyle, Variant, check_endpoint_url
from s3_upload.threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_REGION = "us-east-1"
ChecksumMode = Literal["auto", "when-required", "off"]
CHECKSUM_MODES = get_args(ChecksumMode)
LOAD_TIMEOUT_S = 120.0
"""Bounds one load of credentials; long enough for someone to type an MFA code."""
RETRY_REFRESH_S = 60.0
"""Credentials near their end that could not be renewed yet are used this long before the next try."""
MAX_REASON_CHARS = 300
IMDS_TIMEOUT_S = 1.0
"""botocore's own."""
_PROFILE_VARIABLES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")  # in botocore's order
_OTHER_WAYS = ("role_arn", "sso_", "credential_", "web_identity_", "login_")
"""How the keys in a profile begin that have botocore get credentials elsewhere."""
_TOKEN_VARIABLES = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")  # in botocore's order


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to reach the store. `endpoint_url` None is AWS itself, of which `variant` counts.

    `verify`: True for the system's trusted certificates, the path of a CA bundle, or False for none.
    """

    region: str
    endpoint_url: str | None
    addressing_style: AddressingStyle
    verify: bool | str
    checksum: ChecksumMode
    variant: Variant = STANDARD
    proxies: ProxyRules = DIRECT


def resolve_settings(
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    addressing_style: AddressingStyle = "auto",
    verify: bool | str = True,
    checksum: ChecksumMode | None = None,
    use_accelerate_endpoint: bool | None = None,
    use_dualstack_endpoint: bool | None = None,
    use_fips_endpoint: bool | None = None,
    profile: str | None = None,
    proxy: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings in force; an argument left at its default is looked up.

    Where the endpoint is a custom one, variants that environment or profile ask for mean nothing (as in
    botocore), and those that an argument asks for are an error.

    Reads the config and credentials files (milliseconds). Raises `ConfigError` for a wrong value or
    file, naming where it came from, and `RunError` for a profile that does not exist.
    """
    name, scoped, services = _read_profile(profile, environ)
    style = (
        _dict(scoped.get("s3")).get("addressing_style", "auto")
        if addressing_style == "auto"
        else addressing_style
    )
    if style not in ADDRESSING_STYLES:
        raise ConfigError(f"addressing_style = {style!r}: must be one of {', '.join(ADDRESSING_STYLES)}")
    if verify is True:
        verify = environ.get("AWS_CA_BUNDLE") or scoped.get("ca_bundle") or True
    if isinstance(verify, str):
        verify = _ca_bundle(verify)
    url = _endpoint_url(endpoint_url, environ, name, scoped, services)
    asked = {
        "accelerate": use_accelerate_endpoint,
        "dualstack": use_dualstack_endpoint,
        "fips": use_fips_endpoint,
    }
    return Settings(
        region=region
        or environ.get("AWS_REGION")
        or environ.get("AWS_DEFAULT_REGION")
        or scoped.get("region")
        or DEFAULT_REGION,
        endpoint_url=url,
        addressing_style=style,
        verify=verify,
        checksum=_checksum(checksum, environ, scoped),
        variant=_variant(asked, environ, scoped) if url is None else _no_variant(asked, url),
        proxies=proxy_rules(proxy, environ),
    )


def credentials_from_environment(environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """The credentials in the environment, by the rules of botocore's EnvProvider.

    None where there are none, only half, or an expiry (AWS_CREDENTIAL_EXPIRATION): botocore's chain
    then says what to make of that.
    """
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key or environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    token = next((environ[name] for name in _TOKEN_VARIABLES if environ.get(name)), None)
    try:
        return Credentials(access_key, secret_key, token)
    except ConfigError as error:
        raise ConfigError(f"credentials in AWS_ACCESS_KEY_ID and its companions: {error}") from None


def credentials_from_files(
    profile: str | None = None, environ: Mapping[str, str] = os.environ
) -> Credentials | None:
    """The keys that the profile's sections spell out, for whoever cannot wait for botocore's session; None
    where they do not, or name another way to get some. Raises as `resolve_settings`."""
    _, scoped, _ = _read_profile(profile, environ)
    access_key, secret_key = scoped.get("aws_access_key_id"), scoped.get("aws_secret_access_key")
    if not access_key or not secret_key or any(name.startswith(_OTHER_WAYS) for name in scoped):
        return None
    return Credentials(access_key, secret_key, scoped.get("aws_session_token"))


class BotocoreCredentials:
    """A `CredentialProvider` on botocore's chain.

    As in botocore, `profile` given here hides the environment's keys, while AWS_PROFILE does not.
    Credentials that expire are renewed from 15 minutes before their end (botocore's advisory time);
    a failure to do so matters only once they have expired.
    """

    def __init__(
        self,
        profile: str | None = None,
        *,
        proxies: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._proxies = proxies
        self._now = now
        self._threads = DaemonThreads(1, "s3-upload-credentials")
        self._source: Any = None  # botocore's credentials object, once loaded
        self._refreshed_s = now()
        self._loading: asyncio.Task[Credentials] | None = None
        self._credentials = credentials_from_environment() if profile is None else None

    def current(self) -> Credentials | None:
        """See `CredentialProvider`."""
        if self._credentials is None or self._source is None:
            return self._credentials
        # Both only compare clocks; static credentials of botocore have no `refresh_needed`.
        needs_refresh: Callable[..., bool] | None = getattr(self._source, "refresh_needed", None)
        if needs_refresh is None or not needs_refresh():
            return self._credentials
        waits = self._now() - self._refreshed_s < RETRY_REFRESH_S and not needs_refresh(0)
        return self._credentials if waits else None

    async def refresh(self, rejected: Credentials | None = None) -> Credentials:
        """See `CredentialProvider`. Loads in a thread, within `LOAD_TIMEOUT_S`."""
        current = self.current()
        if rejected is not None and current is not None and current != rejected:
            return current
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(renew=rejected is not None))
            self._loading.add_done_callback(self._loaded)
        # A caller that is cancelled leaves the others their refresh.
        credentials = await asyncio.shield(self._loading)
        if credentials == rejected:
            where = getattr(self._source, "method", "env")
            raise expired(
                credentials, f"the place they came from ({where}) has no newer ones: renew them there"
            )
        return credentials

    def _loaded(self, task: asyncio.Task[Credentials]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()  # seen: whoever still waits gets it, and nobody may wait any longer

    async def _load(self, *, renew: bool) -> Credentials:
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_S):
                credentials, source = await self._threads.call(
                    lambda: patiently(lambda: self._fetch(renew=renew), pause=self._threads.pause)
                )
        except TimeoutError:
            raise RunError(
                f"no credentials within {LOAD_TIMEOUT_S:.0f} s: the place they come from does not answer",
                FailureKind.CREDENTIALS,
            ) from None
        except Exception as error:
            self._refreshed_s = self._now()
            usable = None if renew else self.current()
            if usable is not None:  # not renewed, but not expired either
                return usable
            raise _explain(error, self._profile) from error
        self._credentials, self._source, self._refreshed_s = credentials, source, self._now()
        return credentials

    def _fetch(self, *, renew: bool) -> tuple[Credentials, Any]:
        """In a thread. `renew` starts from scratch: files are read again, tokens asked for anew."""
        if renew and self._profile is None:
            found = credentials_from_environment()
            if found is not None:
                return found, None
        source = None if renew else self._source
        if source is None:
            source = _botocore_session(self._profile, self._proxies).get_credentials()
        if source is None:
            raise RunError(_nothing_found(self._profile), FailureKind.CREDENTIALS)
        frozen: Any = source.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None), source


def _botocore_session(profile: str | None, proxies: Mapping[str, str] | None) -> Any:
    """`proxies`: for STS and SSO; None for what botocore itself finds in the environment."""
    import botocore.config
    import botocore.httpsession
    import botocore.session

    session = botocore.session.Session(profile=profile)
    if proxies is not None:
        session.set_default_client_config(botocore.config.Config(proxies=dict(proxies)))
    # botocore would ask the instance's metadata through HTTP_PROXY: nobody but the instance itself can, and a
    # proxy that answers for its own instance gives somebody else's account.
    provider: Any = session.get_component("credential_provider").get_provider("iam-role")
    fetcher: Any = getattr(provider, "_role_fetcher", None)
    if fetcher is not None:
        timeout_s = getattr(fetcher, "_timeout", IMDS_TIMEOUT_S)
        fetcher._session = botocore.httpsession.URLLib3Session(timeout=timeout_s, proxies={})
    return session


def provider_for(
    credentials: Credentials | None, profile: str | None, *, sign: bool, proxies: ProxyRules
) -> CredentialProvider:
    """Where a client gets its credentials from. Raises `ConfigError` for what does not go together.

    Where a call names its proxy, STS and SSO are asked through it too, but for SOCKS, which botocore does not
    speak.
    """
    if not sign:
        if credentials is not None:
            raise ConfigError("sign = False: requests go unsigned, credentials are of no use: leave one out")
        return StaticCredentials(ANONYMOUS)
    if credentials is not None:
        return StaticCredentials(credentials)
    urls = {scheme: url for scheme, (_, url) in proxies.by_scheme.items()}
    spoken = proxies.by_argument and not any(parse_proxy(url, "proxy").is_socks for url in urls.values())
    return BotocoreCredentials(profile, proxies=urls if spoken else None)


def _nothing_found(profile: str | None) -> str:
    place = (
        f"profile {profile!r}"
        if profile
        else "the environment, the profile, SSO, container or instance metadata"
    )
    return (
        f"no credentials found in {place}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "run `aws configure`, or name a profile"
    )


def _explain(error: Exception, profile: str | None) -> RunError | ConfigError:
    """One line on what is wrong with the credentials, and what to do."""
    from botocore import exceptions

    if isinstance(error, RunError | ConfigError):
        return error
    named = profile or next((os.environ[name] for name in _PROFILE_VARIABLES if name in os.environ), None)
    option = f" --profile {named}" if named else ""
    reason = " ".join(str(error).split())[:MAX_REASON_CHARS]
    if isinstance(error, exceptions.ProfileNotFound):
        return _profile_not_found(named or "", os.environ)
    if isinstance(error, exceptions.SSOError | exceptions.TokenRetrievalError):
        text = f"the SSO session has expired or does not exist: run `aws sso login{option}` ({reason})"
    elif isinstance(error, getattr(exceptions, "LoginError", ())):
        text = f"the login session has expired or does not exist: run `aws login{option}` ({reason})"
    elif isinstance(error, exceptions.PartialCredentialsError):
        text = f"only half of the credentials is there: {reason}"
    else:
        text = f"the credentials could not be loaded: {reason or type(error).__name__}"
    return RunError(text, FailureKind.CREDENTIALS)


def _read_profile(
    profile: str | None, environ: Mapping[str, str]
) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """The profile's name (None: nobody named one), its keys, and all `services` sections.

    As botocore's `Session.full_config`: the credentials file adds its keys to the config file's.
    """
    name = profile
    if name is None:
        name = next((environ[variable] for variable in _PROFILE_VARIABLES if variable in environ), None)
    config_path, credentials_path = _config_paths(environ)
    profiles: dict[str, dict[str, Any]] = {}
    services: dict[str, Any] = {}
    if config_path.is_file():
        config = _parse(config_path, profiles_only=False)
        profiles, services = config["profiles"], config["services"]
    if credentials_path.is_file():
        for section, keys in _parse(credentials_path, profiles_only=True).items():
            profiles.setdefault(section, {}).update(keys)
    if name is not None and name not in profiles:
        raise _profile_not_found(name, environ)
    return name, profiles.get(name or "default", {}), services


def _parse(path: Path, *, profiles_only: bool) -> dict[str, Any]:
    from botocore import configloader
    from botocore.exceptions import ConfigParseError

    read = configloader.raw_config_parse if profiles_only else configloader.load_config
    try:
        parsed: dict[str, Any] = read(str(path))
    except (ConfigParseError, OSError):
        # The parser's own message quotes the line, which may be a secret.
        raise ConfigError(f"{path}: cannot be read as an AWS config file; correct or move it") from None
    return parsed


def _config_paths(environ: Mapping[str, str]) -> tuple[Path, Path]:
    def path(variable: str, default: str) -> Path:
        text = os.path.expandvars(environ.get(variable, default))
        return Path(os.path.expanduser(text))  # noqa: PTH111 - a Path raises where nobody has a home

    return path("AWS_CONFIG_FILE", "~/.aws/config"), path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")


def _profile_not_found(name: str, environ: Mapping[str, str]) -> RunError:
    config_path, credentials_path = _config_paths(environ)
    return RunError(
        f"profile {name!r} is neither in {config_path} nor in {credentials_path}: "
        "check its name with `aws configure list-profiles`",
        FailureKind.CREDENTIALS,
    )


def _endpoint_url(
    argument: str | None,
    environ: Mapping[str, str],
    name: str | None,
    scoped: dict[str, Any],
    services: dict[str, Any],
) -> str | None:
    if argument is not None:
        return check_endpoint_url(argument).geturl()  # with a lower-case scheme
    ignore = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or scoped.get(
        "ignore_configured_endpoint_urls"
    )
    if str(ignore).lower() == "true":
        return None
    where = f"endpoint_url of profile {name or 'default'}"
    found = [(variable, environ.get(variable)) for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")]
    if not any(url for _, url in found):  # as in botocore, a missing section hurts only who needs it
        section = scoped.get("services")
        if section is not None and section not in services:
            raise ConfigError(
                f"services = {section!r} in profile {name or 'default'}: there is no such section"
            )
        service = _dict(_dict(services.get(section)).get("s3")) if section is not None else {}
        found = [
            (f"{where} (services {section})", service.get("endpoint_url")),
            (where, scoped.get("endpoint_url")),
        ]
    for origin, url in found:
        if url:
            return check_endpoint_url(url, origin).geturl()
    return None


def _variant(asked: Mapping[str, bool | None], environ: Mapping[str, str], scoped: dict[str, Any]) -> Variant:
    """In botocore's order: argument, then the profile's `s3` section, the environment, the profile."""
    nested = _dict(scoped.get("s3"))

    def found(key: str) -> bool:
        variable = f"AWS_{key.upper()}"
        on = _switch(f"{key} in the profile's s3 section", nested.get(key))
        return on or _switch(f"{variable} or {key}", environ.get(variable, scoped.get(key)))

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


def _checksum(mode: str | None, environ: Mapping[str, str], scoped: dict[str, Any]) -> ChecksumMode:
    """botocore's setting has two values, of which "when_supported" is our "auto"."""
    if mode is None:
        key = "request_checksum_calculation"
        found = str(environ.get(f"AWS_{key.upper()}") or scoped.get(key) or "when_supported").lower()
        modes: dict[str, ChecksumMode] = {"when_supported": "auto", "when_required": "when-required"}
        if found not in modes:
            raise ConfigError(f"{key} = {found!r}: must be one of {', '.join(modes)}")
        return modes[found]
    if mode not in CHECKSUM_MODES:
        raise ConfigError(f"checksum = {mode!r}: must be one of {', '.join(CHECKSUM_MODES)}")
    return cast("ChecksumMode", mode)


def _ca_bundle(path: str) -> str:
    expanded = Path(os.path.expanduser(path))  # noqa: PTH111 - a Path raises where nobody has a home
    if not expanded.exists():
        raise ConfigError(f"CA bundle {path!r}: there is no such file or directory")
    return str(expanded)


def _dict(value: object) -> dict[str, Any]:
    """`value` if it is a nested section, else none: so botocore treats a scalar in its place."""
    return value if isinstance(value, dict) else {}
