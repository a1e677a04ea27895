"""Credentials from botocore's own chain, as every AWS tool finds them: environment, profiles, assumed roles,
SSO, credential processes, containers, instance metadata.

Importing botocore's session costs half a second, so it happens only when it is needed, in a thread,
and never for plain environment variables, or keys that a profile spells out.
"""

from __future__ import annotations

import asyncio
import copy
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from s3_upload.account.profile import PROFILE_VARIABLES, Profile, profile_not_found, read_profile
from s3_upload.descriptors import patiently
from s3_upload.errors import AttemptError, ConfigError, FailureKind, RunError
from s3_upload.proxy import ProxyRules, parse_proxy
from s3_upload.s3.credentials import (
    ANONYMOUS,
    CredentialProvider,
    Credentials,
    StaticCredentials,
    expired,
)
from s3_upload.text import reason_of
from s3_upload.threads import DaemonThreads, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOAD_TIMEOUT_S = 120.0
"""Bounds one load of credentials; long enough for someone to type an MFA code."""
MAX_HUNG = 2
"""Loads that are under way at a time, each with a thread and what it may have started (a process)."""
RETRY_REFRESH_S = 60.0
"""Credentials near their end that could not be renewed yet are used this long before the next try."""
_OTHER_WAYS = ("role_arn", "sso_", "credential_", "web_identity_", "login_")
"""How the keys in a profile begin that have botocore get credentials elsewhere."""
_FILE_KEYS = ("aws_access_key_id", "aws_secret_access_key")
_FILE_TOKENS = ("aws_security_token", "aws_session_token")  # in botocore's order
_WEB_IDENTITY = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
"""Variables that come before the keys in a profile, unless an argument names that."""
_TOKEN_VARIABLES = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")  # in botocore's order


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
    """The keys that the profile's section spells out; None where it does not, names another way to get some,
    or has them in two files: botocore's chain then says what counts. Raises as `settings.resolve_settings`,
    and `ConfigError` for what cannot be a key."""
    return _spelled_out(read_profile(profile, environ))


def _spelled_out(found: Profile) -> Credentials | None:
    given = {name: found.keys[name] for name in (*_FILE_KEYS, *_FILE_TOKENS) if name in found.keys}
    if any(name.startswith(_OTHER_WAYS) for name in found.keys) or len({found.files[n] for n in given}) != 1:
        return None
    access_key, secret_key = (given.get(name) for name in _FILE_KEYS)
    token = next((given[name] for name in _FILE_TOKENS if name in given), None)
    if not (isinstance(access_key, str) and access_key and isinstance(secret_key, str) and secret_key):
        return None
    return Credentials(access_key, secret_key, token or None)


class _Files(msgspec.Struct, frozen=True):
    """Where credentials come from that a profile spells out: file and section."""

    method: str


_Loaded = tuple[Credentials, Any, Any]
"""With their source, and a copy of it: that goes on to tell when these end."""


class BotocoreCredentials:
    """A `CredentialProvider` on botocore's chain.

    As in botocore, `profile` given here hides the environment's keys, while AWS_PROFILE does not.
    Credentials that expire are renewed from 15 minutes before their end (botocore's advisory time), while
    requests go on with them; a failure to do so matters only once they have expired.
    """

    def __init__(
        self,
        profile: str | None = None,
        *,
        proxies: Mapping[str, str] | None = None,
        region: str | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._proxies = proxies
        self._region = region
        self._now = now
        self._threads = DaemonThreads(MAX_HUNG, "s3-upload-credentials")
        self._asking: list[bool] = []  # one for each call in a thread
        self._source: Any = None  # botocore's credentials object, once loaded
        self._as_taken: Any = None  # what that was when `_credentials` came of it: it may know newer ones
        self._refreshed_s = now()
        self._loading: asyncio.Task[Credentials] | None = None
        self._renews = self._closed = False
        self._credentials = credentials_from_environment() if profile is None else None

    def current(self) -> Credentials | None:
        """See `CredentialProvider`. Begins to renew what will end soon."""
        if not self._ends_within():
            return self._credentials
        usable = self._usable()
        if usable is not None and self._now() - self._refreshed_s >= RETRY_REFRESH_S:
            self._begin(renew=False)
        return usable

    def _usable(self) -> Credentials | None:
        return None if self._ends_within(0) else self._credentials

    def _ends_within(self, *seconds: int) -> bool:
        """Without `seconds`: botocore's advisory time. It only compares clocks."""
        ends: Callable[..., bool] | None = getattr(self._as_taken, "refresh_needed", None)
        return ends is not None and ends(*seconds)

    @property
    def method(self) -> str:
        """The place that the credentials came from: file and section, else as botocore's chain calls it."""
        return str(getattr(self._source, "method", "env"))

    async def refresh(self, rejected: Credentials | None = None) -> Credentials:
        """See `CredentialProvider`. Loads in a thread, within `LOAD_TIMEOUT_S`."""
        usable = self._usable()
        if rejected is not None and usable is not None and usable != rejected:
            return usable
        loading = self._begin(renew=rejected is not None)
        renews = self._renews
        # A caller that is cancelled leaves the others their refresh.
        credentials = await asyncio.shield(loading)
        if credentials == rejected and not renews:  # it did not know that these were refused
            credentials = await asyncio.shield(self._begin(renew=True))
        if credentials == rejected:
            raise expired(
                credentials, f"the place they came from ({self.method}) has no newer ones: renew them there"
            )
        return credentials

    async def close(self) -> None:
        """Ends what is under way on this loop: whoever waits for it hears that the client is closed."""
        self._closed = True
        if (loading := self._here()) is not None:
            loading.cancel()
            await asyncio.wait((loading,))

    def _here(self) -> asyncio.Task[Credentials] | None:
        """What is under way on this loop: one whose loop has ended never comes to its end."""
        loading = self._loading
        return loading if loading and loading.get_loop() is asyncio.get_running_loop() else None

    def _begin(self, *, renew: bool) -> asyncio.Task[Credentials]:
        if (loading := self._here()) is None:
            loading = self._loading = asyncio.create_task(self._load(renew=renew))
            loading.add_done_callback(self._loaded)
            self._renews = renew
        return loading

    def _loaded(self, task: asyncio.Task[Credentials]) -> None:
        if self._loading is task:
            self._loading = None
        seen(task)  # whoever still waits gets it, and nobody may wait any longer

    async def _load(self, *, renew: bool) -> Credentials:
        try:
            return self._take(await self._fetched(renew=renew))
        except asyncio.CancelledError:
            if self._closed:
                why = "the client was closed while credentials were still to come: close it after its runs"
                raise AttemptError(FailureKind.CLIENT_CLOSED, why) from None
            raise
        except Exception as error:
            self._refreshed_s = self._now()
            usable = None if renew else self._usable()
            if usable is not None:  # not renewed, but not expired either
                return usable
            # Where the place was reached before, the network is away, as after a sleep.
            if _is_silence(error) and self._source is not None and not renew:
                why = f"the credentials could not be renewed: {reason_of(error)}"
                raise AttemptError(FailureKind.CONNECT, why) from error  # and so it is waited for
            raise _explain(error, self._profile) from error

    async def _fetched(self, *, renew: bool) -> _Loaded:
        """What `_ask` gives. One that hangs is left to itself, with its thread and its source's lock; what
        it brings late is taken, where nothing else has come. Behind MAX_HUNG of them none is begun."""
        before = self._credentials
        begun: list[bool] = []

        def late(call: asyncio.Future[_Loaded]) -> None:
            if self._credentials is before and not call.cancelled() and call.exception() is None:
                self._take(call.result())

        call = self._threads.call(lambda: self._ask(begun, renew=renew))
        call.add_done_callback(seen)
        try:
            done, _ = await asyncio.wait((call,), timeout=LOAD_TIMEOUT_S)
        finally:
            if not begun and len(self._asking) >= MAX_HUNG:
                call.cancel()
        if done:
            return call.result()
        call.add_done_callback(late)
        raise TimeoutError(f"no answer within {LOAD_TIMEOUT_S:.0f} s from the place they come from")

    def _take(self, loaded: _Loaded) -> Credentials:
        self._credentials, self._source, self._as_taken = loaded
        self._refreshed_s = self._now()
        return self._credentials

    def _ask(self, begun: list[bool], *, renew: bool) -> _Loaded:
        """In a thread."""
        begun.append(True)
        self._asking.append(True)
        try:
            credentials, source = patiently(lambda: self._fetch(renew=renew))
            return credentials, source, copy.copy(source)
        finally:
            self._asking.pop()

    def _fetch(self, *, renew: bool) -> tuple[Credentials, Any]:
        """In a thread. `renew` starts from scratch: files are read again, tokens asked for again."""
        if renew and self._profile is None:
            found = credentials_from_environment()
            if found is not None:
                return found, None
        is_used = len(self._asking) > 1  # perhaps by one that hangs, and has its lock
        source = None if renew or is_used or isinstance(self._source, _Files) else self._source
        if source is None:
            if (in_files := self._in_files()) is not None:
                return in_files
            from s3_upload.account.chain import chain_session

            session = chain_session(self._profile, self._proxies, self._region, renew=renew)
            source = session.get_credentials()
        if source is None:
            raise RunError(_nothing_found(self._profile), FailureKind.CREDENTIALS)
        frozen: Any = source.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None), source

    def _in_files(self) -> tuple[Credentials, _Files] | None:
        """Those of the profile, where nothing in the environment comes before it."""
        names = ("AWS_ACCESS_KEY_ID", *_WEB_IDENTITY)
        if self._profile is None and any(os.environ.get(name) for name in names):
            return None
        profile = read_profile(self._profile, os.environ)
        credentials = _spelled_out(profile)
        return None if credentials is None else (credentials, _Files(profile.origin(_FILE_KEYS[0])))


async def close_provider(provider: CredentialProvider) -> None:
    """Ends what one that has a `close` has under way."""
    if (close := getattr(provider, "close", None)) is not None:
        await close()


def provider_for(
    credentials: Credentials | None,
    profile: str | None,
    region: str | None,
    *,
    sign: bool,
    proxies: ProxyRules,
) -> CredentialProvider:
    """Where a client gets its credentials from. Raises `ConfigError` for what does not go together."""
    if not sign:
        if credentials is not None:
            raise ConfigError("sign = False: requests go unsigned, credentials are of no use: leave one out")
        return StaticCredentials(ANONYMOUS)
    if credentials is not None:
        return StaticCredentials(credentials)
    return chain_provider(profile, region, proxies)


def chain_provider(profile: str | None, region: str | None, proxies: ProxyRules) -> BotocoreCredentials:
    """Credentials from botocore's chain, for a client of these settings.

    Where a call names its proxy, STS and SSO are asked through it too, but for SOCKS, which botocore does not
    speak; `region` is that of STS, where a call names it.
    """
    urls = {scheme: url for scheme, (_, url) in proxies.by_scheme.items()}
    spoken = proxies.by_argument and not any(parse_proxy(url, "proxy").is_socks for url in urls.values())
    return BotocoreCredentials(profile, proxies=urls if spoken else None, region=region)


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


def _is_silence(error: Exception) -> bool:
    """Whether the place that credentials come from was not reached."""
    from botocore import exceptions

    silence = exceptions.ConnectionError | exceptions.HTTPClientError | exceptions.MetadataRetrievalError
    if isinstance(error, exceptions.CredentialRetrievalError):
        # So botocore wraps that of these two, and it gives no reason.
        return error.kwargs.get("provider") in ("container-role", "iam-role")
    return isinstance(error, silence | TimeoutError)


def _explain(error: Exception, profile: str | None) -> RunError | ConfigError:
    """One line on what is wrong with the credentials, and what to do."""
    from botocore import exceptions

    if isinstance(error, RunError | ConfigError):
        return error
    named = profile or next(filter(None, map(os.environ.get, PROFILE_VARIABLES)), None)
    option = f" --profile {named}" if named else ""
    reason = reason_of(error)
    if isinstance(error, exceptions.ProfileNotFound):
        return profile_not_found(named or "", os.environ)
    if isinstance(error, exceptions.SSOError | exceptions.TokenRetrievalError):
        text = f"the SSO session has expired or does not exist: run `aws sso login{option}` ({reason})"
    elif isinstance(error, getattr(exceptions, "LoginError", ())):
        text = f"the login session has expired or does not exist: run `aws login{option}` ({reason})"
    elif isinstance(error, exceptions.PartialCredentialsError):
        text = f"only half of the credentials is there: {reason}"
    else:
        text = f"the credentials could not be loaded: {reason}"
    return RunError(text, FailureKind.CREDENTIALS)
