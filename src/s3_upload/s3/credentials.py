"""Credentials as plain data, and where they come from as a protocol.

Pure: nothing here reads a file, the environment or a clock.  The chain that does (environment,
profiles, SSO, instance metadata) is `s3_upload.account.botocore.BotocoreCredentials`.

A request is signed with `provider.current() or await provider.refresh()`: the first is a look at a
cached value, the second may take seconds, off the event loop.
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

from s3_upload.errors import ConfigError, FailureKind, RunError

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


class Credentials(msgspec.Struct, frozen=True):
    """An access key with its secret and, for temporary credentials, its session token.

    `repr` shows the access key alone.  Raises `ConfigError` (which never quotes a value) when a part
    is empty or has characters that no credential has: mostly a line break from a copied file, which
    would otherwise come back as an unexplained wrong signature.
    """

    access_key: str
    secret_key: str
    session_token: str | None = None

    def __post_init__(self) -> None:
        for name in ("access_key", "secret_key", "session_token"):
            value = getattr(self, name)
            if name == "session_token" and value is None:
                continue
            if not isinstance(value, str):
                raise ConfigError(f"{name}: must be a text")
            if not value:
                raise ConfigError(f"{name}: is empty; give the whole credential or none")
            if not _VISIBLE_ASCII.fullmatch(value):
                raise ConfigError(
                    f"{name}: has spaces, line breaks or characters outside ASCII; copy it again"
                )

    def __repr__(self) -> str:
        token = "" if self.session_token is None else ", session_token=***"
        return f"Credentials(access_key={self.access_key!r}, secret_key=***{token})"


ANONYMOUS = Credentials("anonymous", "nothing-is-signed-with-this")
"""Stands where requests go unsigned."""


class CredentialProvider(Protocol):
    """Where a client gets its credentials from."""

    def current(self) -> Credentials | None:
        """The credentials to sign with now; None if `refresh` has to be awaited first. Never blocks."""
        ...

    async def refresh(self, rejected: Credentials | None = None) -> Credentials:
        """Loads or renews the credentials; callers at the same time share one refresh.

        `rejected`: what the store has called expired.  If it has been replaced meanwhile, the
        replacement comes back at once.  Raises `RunError` (`FailureKind.CREDENTIALS`) when there are no
        credentials, or none but the rejected ones.
        """
        ...


class StaticCredentials:
    """Credentials that the caller gave: never renewed."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __repr__(self) -> str:
        return f"StaticCredentials({self._credentials!r})"

    def current(self) -> Credentials | None:
        return self._credentials

    async def refresh(self, rejected: Credentials | None = None) -> Credentials:
        if rejected == self._credentials:
            raise expired(rejected, "they were given as fixed credentials: start again with new ones")
        return self._credentials


def expired(credentials: Credentials, remedy: str) -> RunError:
    """The error for credentials that the store calls expired and that cannot be renewed."""
    return RunError(
        f"the credentials {credentials.access_key} have expired; {remedy}", FailureKind.CREDENTIALS
    )
