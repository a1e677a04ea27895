"""A directory bucket (S3 Express One Zone) at the fault server, as strict as AWS's.

CreateSession, which is signed with the account's credentials, gives others; every other request has to be
signed with those of a session that has not ended, for the service, and name its token.  The clock is the
test's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING

from tests.faults.actions import Action, Answer, Delay, Request, s3_error
from tests.faults.model import S3Model, StoredObject
from tests.faults.signatures import is_signed_with, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKET = "photos--use1-az4--x-s3"
START_S = 1_700_000_000.0
LIFE_S = 300.0
ACCOUNT = ("key", "secret")


@dataclass
class Clock:
    """What the client and the store call the time."""

    now_s: float = START_S

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Directory:
    """The script of a fault server. `instead`: answers a CreateSession, by its number from 1, in the place of
    a session; None for a session, after `delay_s`.  `meanwhile`: the rest of the script.  `wrong`: what was
    wrong with requests that came."""

    clock: Clock = field(default_factory=Clock)
    life_s: float = LIFE_S
    instead: Callable[[int], Action | None] = lambda _: None
    meanwhile: Callable[[Request], Action | None] = lambda _: None
    delay_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    asked: int = 0
    ends_s: list[float] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    """Numbers of the sessions that requests were signed with."""

    def __call__(self, request: Request) -> Action | None:
        if request.method == "GET" and "session" in request.query:
            return self._create_session(request)
        return self._check(request) or self.meanwhile(request)

    def token(self, number: int) -> str:
        return f"session-token-{number}"

    def secret(self, number: int) -> str:
        return f"session-secret-{number}"

    def _create_session(self, request: Request) -> Action:
        self.asked += 1
        key, secret = ACCOUNT
        if scope_of(request) != (key, "us-east-1", "s3express") or not is_signed_with(request, secret):
            self.wrong.append(f"CreateSession is signed otherwise: {request.headers}")
        if request.headers.get("x-amz-create-session-mode") != "ReadWrite" or request.key:
            self.wrong.append(f"CreateSession: {request.target} {request.headers}")
        refusal = self.instead(self.asked)
        if refusal is not None:
            return refusal
        self.ends_s.append(self.clock() + self.life_s)
        number = len(self.ends_s)
        end = datetime.fromtimestamp(self.ends_s[-1], UTC)
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<CreateSessionResult '
            'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>'
            f"<SessionToken>{self.token(number)}</SessionToken>"
            f"<SecretAccessKey>{self.secret(number)}</SecretAccessKey>"
            f"<AccessKeyId>session-key-{number}</AccessKeyId>"
            f"<Expiration>{end:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></CreateSessionResult>"
        )
        date = {"Date": formatdate(self.clock(), usegmt=True)}
        answer = Answer(200, date, body.encode())
        return Delay(self.delay_s, answer) if self.delay_s else answer

    def _check(self, request: Request) -> Action | None:
        token = request.headers.get("x-amz-s3session-token", "")
        number = int(token.rpartition("-")[2] or 0)
        if not 0 < number <= len(self.ends_s) or "x-amz-security-token" in request.headers:
            self.wrong.append(f"no session: {request.method} {request.target}")
            return s3_error(403, "AccessDenied", "Access Denied")
        self.used.add(number)
        if self.clock() >= self.ends_s[number - 1]:
            return s3_error(400, "ExpiredToken", "The provided token has expired.")
        expected = (f"session-key-{number}", "us-east-1", "s3express")
        if scope_of(request) != expected or not is_signed_with(request, self.secret(number)):
            self.wrong.append(f"{request.method} {request.target}: {scope_of(request)}")
        if "uploads" in request.query and not request.query.get("prefix", "/").endswith("/"):
            return s3_error(400, "InvalidArgument", "This bucket does not support prefixes without a slash.")
        return None


class DirectoryModel(S3Model):
    """Its ETags are no MD5s."""

    def _stored(self, request: Request) -> StoredObject:
        stored = super()._stored(request)
        stored.etag = hashlib.sha256(stored.etag.encode()).hexdigest()[:20]
        return stored
