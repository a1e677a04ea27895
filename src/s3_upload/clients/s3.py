"""`S3Client`: our own client, made for uploading.

Joins `s3/` (what to say) and `http1/` (how it travels); satisfies `transfer.client.Client`.  One client may
serve many runs and buckets, on one event loop at a time; it keeps its connections until `aclose`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from s3_upload.account.botocore import close_provider, provider_for
from s3_upload.account.settings import ChecksumMode, PayloadSigning, resolve_settings
from s3_upload.checks import must_be, must_be_callable, must_be_switch, must_be_text
from s3_upload.clients import bucket_requests
from s3_upload.clients.bucket_requests import ALL, LONG, WRONG_ZONE
from s3_upload.clients.content_md5 import takes_long, with_md5
from s3_upload.errors import AttemptError, ConfigError, FailureKind
from s3_upload.http import Response
from s3_upload.http1 import tcp_info
from s3_upload.http1.connection import client_closed
from s3_upload.http1.lease import Lease
from s3_upload.http1.own_loop import OwnLoop
from s3_upload.http1.pool import Pool
from s3_upload.http1.resolve import LookUp
from s3_upload.http1.route import Routes, forwards
from s3_upload.http1.tls import ClientCertificate, check_certificate, tls_context
from s3_upload.http1.trace import Answer, Trace
from s3_upload.parts import StoreParts
from s3_upload.proxy import Proxy
from s3_upload.report import ConnectionSample
from s3_upload.s3.bucket_kinds import S3_EXPRESS
from s3_upload.s3.checksum import DEFAULT_ALGORITHM, Digests, check_algorithm
from s3_upload.s3.credentials import CredentialProvider, Credentials
from s3_upload.s3.endpoint import DEFAULT_PORTS, AddressingStyle, Endpoint, service_endpoint
from s3_upload.s3.hints import CHECKSUMS_NOT_TAKEN, likely_cause, wrong_clock
from s3_upload.s3.operations import BODILESS, CARRIES_DATA, NOT_TWICE, OPERATIONS, Operation
from s3_upload.s3.operations.create_session import Session, session_in
from s3_upload.s3.redirect import is_upgrade, redirected
from s3_upload.s3.requests import ChecksumsTold, RequestEncoder, refuse_unknown
from s3_upload.s3.responses import Failure
from s3_upload.s3.sigv4 import Signer

if TYPE_CHECKING:
    from s3_upload.clients.bucket_sessions import BucketSessions

_NEEDS = dict.fromkeys(OPERATIONS, Answer.WHOLE) | dict.fromkeys(BODILESS, Answer.BODILESS)
# Their success needs nothing of the answer's body.
_NEEDS |= dict.fromkeys(CARRIES_DATA, Answer.HEADERS) | dict.fromkeys(LONG, Answer.LONG)
_ELSEWHERE = (FailureKind.REGION, FailureKind.MOVED)
_OF_CHECKSUMS = (FailureKind.UNSUPPORTED, FailureKind.NEEDS_MD5)
_PERHAPS_A_PROXYS = (FailureKind.PROXY, FailureKind.ACCESS_DENIED, FailureKind.CREDENTIALS)
_TYPE = re.compile(r"(?i)checksum-?type")
MIN_CLOCK_ERROR_S = 300.0
"""What explains a wrong signature: S3 allows 900 s, other stores down to 300 s."""


class _Signing(msgspec.Struct, frozen=True):
    """What a request was made with; `offset_s` is how far the store's clock is ahead of ours."""

    provider: CredentialProvider
    credentials: Credentials
    offset_s: float
    checksums: ChecksumsTold
    endpoint: Endpoint


class _Target(msgspec.Struct):
    """What the requests to one bucket share; `encoder` lasts as long as `signing`."""

    endpoint: Endpoint
    pool: Pool
    proxy: Proxy | None
    provider: CredentialProvider
    encoder: RequestEncoder | None = None
    signing: _Signing | None = None


class _Learned(msgspec.Struct):
    """What answers of the store said. `offset_s`: how far its clock is ahead of ours; `moved`: by redirects,
    a bucket's endpoint -> where it is; both of no region."""

    checksums: ChecksumsTold = "all"
    offset_s: float = 0.0
    moved: dict[Endpoint, Endpoint] = msgspec.field(default_factory=dict)


def _check_types(given: Mapping[str, Any]) -> None:
    """Of the arguments of a client: raises `TypeError` or `ConfigError`, with the argument's name."""
    for name in ("endpoint_url", "region", "profile", "proxy"):
        must_be_text(name, given[name])
    must_be("credentials", given["credentials"], (Credentials, NoneType), "Credentials or None")
    must_be("verify", given["verify"], (bool, str), "True, False or the path of a CA bundle")
    check_certificate(given["client_certificate"])
    must_be("sign", given["sign"], bool, "True or False")
    for name in ("use_accelerate_endpoint", "use_dualstack_endpoint", "use_fips_endpoint"):
        must_be_switch(name, given[name])
    must_be_callable("utc_clock", given["utc_clock"], optional=False)


class S3Client:
    """Uploads to S3 or a store that speaks it. An async context manager.

    `endpoint_url`, `region` and `profile` override the environment and the AWS configuration files;
    without any, the endpoint is AWS itself and the region us-east-1.  Credentials come from
    `credentials` or botocore's chain.  `addressing_style`: "path" (host/bucket/key), "virtual"
    (bucket.host/key) or "auto" (virtual on AWS where the name allows, path elsewhere).  `verify`:
    True (the system's CAs or AWS_CA_BUNDLE), the path of a CA bundle, or False (no verification:
    for tests).  `client_certificate`: what the store is shown that asks who connects; one PEM file with
    certificate and key, or a pair of files.  `sign=False`: no credentials are looked up and requests
    go unsigned, for buckets that anyone may write to.

    `use_accelerate_endpoint`, `use_dualstack_endpoint` (IPv6) and `use_fips_endpoint` choose among AWS's
    endpoints; None has AWS_USE_DUALSTACK_ENDPOINT, AWS_USE_FIPS_ENDPOINT and the profile decide.

    `checksum`: "auto" has every body go with a checksum by `checksum_algorithm` (one of
    `s3.checksum.ALGORITHMS`; CRC32C, CRC64NVME and XXHASHes need the extra `crt`), which the store verifies,
    keeps and gives back; where the store does not know such headers, they are left out from then on, which
    `UploadSummary.notes` says.  "when-required": only where S3 insists on one (Content-MD5, with an
    object lock, or where the bucket's default retention asks for it); "off": never.

    `payload_signing`: "auto" signs the body's hash over http, where nothing else proves who has sent it; over
    https TLS does.  "always": over https, too.  "never": nowhere, which saves the SHA-256 and leaves the
    body to its checksum alone.  None: "always" where the profile says payload_signing_enabled.

    `look_up`: an async function that gives the addresses of a host name; None: the system's resolver does,
    in a thread.  `proxy`: the URL of a proxy (http, https, socks5 or socks5h), "none" for none, or None for
    what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.

    Raises `ConfigError` for a setting that cannot work and `RunError` for a profile that does not
    exist.  Missing credentials show at the first request.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        credentials: Credentials | None = None,
        addressing_style: AddressingStyle = "auto",
        use_accelerate_endpoint: bool | None = None,
        use_dualstack_endpoint: bool | None = None,
        use_fips_endpoint: bool | None = None,
        verify: bool | str = True,
        client_certificate: ClientCertificate | None = None,
        sign: bool = True,
        checksum: ChecksumMode | None = None,
        payload_signing: PayloadSigning | None = None,
        checksum_algorithm: str = DEFAULT_ALGORITHM,
        look_up: LookUp | None = None,
        proxy: str | None = None,
        utc_clock: Callable[[], float] = time.time,
    ) -> None:
        self.recipe: Mapping[str, Any] = {name: value for name, value in locals().items() if name != "self"}
        """The arguments: another client made of them is like it."""
        _check_types(self.recipe)
        self._settings = resolve_settings(
            endpoint_url=endpoint_url,
            region=region,
            profile=profile,
            addressing_style=addressing_style,
            verify=verify,
            checksum=checksum,
            payload_signing=payload_signing,
            use_accelerate_endpoint=use_accelerate_endpoint,
            use_dualstack_endpoint=use_dualstack_endpoint,
            use_fips_endpoint=use_fips_endpoint,
            proxy=proxy,
        )
        self._algorithm = check_algorithm(checksum_algorithm)
        self._learned = _Learned()
        self._signs = sign
        self._provider = provider_for(credentials, profile, region, sign=sign, proxies=self._settings.proxies)
        uses_tls = not (self._settings.endpoint_url or "https://").startswith("http://")
        self._tls = tls_context(self._settings.verify, client_certificate) if uses_tls else None
        self._utc_clock = utc_clock
        self._targets: dict[str, _Target] = {}
        self._sessions: dict[str, BucketSessions] = {}
        self._pools: dict[tuple[str, int], Pool] = {}
        self._routes = self._new_routes(look_up)
        self._own_loop = OwnLoop()
        self._closed = False
        self.parts = StoreParts(self._settings.endpoint_url)
        """See `transfer.client.Client`."""

    def __repr__(self) -> str:
        return f"<S3Client {self.endpoint}>"

    async def __aenter__(self) -> S3Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes all connections, for good: a run that still goes on ends with a `RunError`."""
        self.enter_loop()
        self._closed = True
        pools = tuple(self._pools.values())
        self._pools.clear()
        self._targets.clear()  # so that the next request asks for a new one, and is refused
        for pool in pools:  # all of them first: to wait for the first may be interrupted
            pool.shut()
        for pool in pools:
            await pool.close()
        for provider in (*self._sessions.values(), self._provider):
            await close_provider(provider)

    # --- transfer.client.Client --------------------------------------------------------------------

    def enter_loop(self) -> None:
        """See `transfer.client.LoopBound`."""
        if self._own_loop.enter():
            self._pools.clear()
            self._targets.clear()
            self._sessions.clear()

    @property
    def endpoint(self) -> str:
        return self._settings.store

    @property
    def is_aws(self) -> bool:
        """Whether it is S3 itself, and no other store that speaks it."""
        return self._settings.endpoint_url is None

    @property
    def digests(self) -> Digests:
        """See `transfer.client.Client`."""
        wanted = self._settings.checksum == "auto" and self._learned.checksums in ("all", "no-type")
        sha256 = self._signs and self._settings.hashes_payload(tls=self._tls is not None)
        return Digests(sha256, self._algorithm if wanted else "")

    async def send(self, operation: Operation, trace: Trace) -> Response:
        """See `transfer.client.Client`."""
        target = self._targets.get(operation.bucket)
        if target is None:
            target = self._new_target(operation.bucket, self._settings.region)
        credentials = target.provider.current()
        if credentials is None:
            refuse_unknown(operation.fields, directory=target.endpoint.service == S3_EXPRESS)
            credentials = await target.provider.refresh()
        signing, learned = target.signing, self._learned
        if (
            signing is None
            or signing.credentials is not credentials
            or signing.offset_s != learned.offset_s
            or signing.checksums is not learned.checksums
        ):
            self._renew_signing(target, credentials)
        assert target.encoder is not None
        trace.made_with(target.signing)
        if takes_long(operation.body) and target.encoder.wants_md5(operation):
            operation = await with_md5(operation)
        # Before there is a connection: one whose request cannot be made would belong to nobody.
        head = target.encoder.head(operation, self._utc_clock() + learned.offset_s)
        options = trace.options
        connection = None if options.fresh else target.pool.take(options.lease)
        if connection is not None and operation.name in NOT_TWICE:
            connection = target.pool.alive(connection, options.lease)
        if connection is None:
            connection = await target.pool.open(trace)
        if trace.cancelled:
            connection.keep()
            raise AttemptError(FailureKind.TIMEOUT, "cancelled before its request began")
        answer = await connection.request(head, operation.body, trace, _NEEDS[operation.name])
        if 300 <= answer.status < 400:
            _leave_out_region(answer, target.endpoint.region)
        return answer

    async def create_bucket(self, bucket: str) -> bool:
        """Makes the bucket, where there is none; says whether it has.

        Raises `RunError` where the store refuses that.  Where it does not even say whether there is one, an
        upload will find out why.
        """
        must_be("bucket", bucket, str, "str")
        self.enter_loop()
        region = self._settings.region if self.is_aws else None
        return await bucket_requests.create_bucket(
            self.send, bucket, endpoint=self.endpoint, aws_region=region
        )

    async def list_buckets(self) -> list[str]:
        """The names of the account's buckets: one page of them, at S3 up to 10,000. Raises `RunError`."""
        self.enter_loop()
        settings = self._settings
        where = service_endpoint(settings.region, settings.endpoint_url, settings.variant)
        begin = partial(self._add_target, ALL, where)
        try:
            return await bucket_requests.list_buckets(self.send, self.endpoint, begin)
        finally:
            self._targets.pop(ALL, None)  # what names no bucket by mistake is refused, as ever

    @property
    def sees(self) -> bool:
        """See `transfer.client.PacedClient`."""
        return tcp_info.works()

    @property
    def open_connections(self) -> int:
        """How many there are, idle ones included."""
        return sum(pool.open_count for pool in self._pools.values())

    def close_idle(self) -> None:
        """See `transfer.client.IdleCloser`."""
        for pool in self._pools.values():
            pool.close_idle()

    def samples(self) -> list[ConnectionSample]:
        """See `transfer.client.PacedClient`."""
        return [sample for pool in self._pools.values() for sample in pool.samples()]

    def lease(self) -> Lease:
        """See `transfer.client.PacedClient`."""
        return Lease()

    async def correct(self, operation: Operation, failure: Failure, trace: Trace) -> bool:
        """See `transfer.client.Client`."""
        used = trace.note
        if self._closed or not isinstance(used, _Signing):
            return self._closed  # the next request will say so
        if failure.kind is FailureKind.EXPIRED_TOKEN:
            with suppress(AttemptError):  # of a session: the next request waits for another, and says so
                await used.provider.refresh(rejected=used.credentials)
            return True
        if failure.kind in _ELSEWHERE:
            return self._follow(operation, failure, used.endpoint)
        if failure.kind in _OF_CHECKSUMS:
            return self._correct_checksums(operation, failure, used.checksums)
        return self._correct_clock(failure, used.offset_s)

    def remark(self, failure: Failure, trace: Trace) -> str:
        """See `transfer.client.Client`."""
        used, text = trace.note, ""
        if not isinstance(used, _Signing):
            return text
        if failure.kind is FailureKind.REGION:
            asked_for = f"asks for {failure.region}" if failure.region else "names no other"
            text = f"the request was made for region {used.endpoint.region}, the store {asked_for}"
        elif failure.kind is FailureKind.MOVED:
            text = self._remark_on_move(failure, used)
        elif failure.kind is FailureKind.ACCESS_DENIED and not self._signs:
            text = "the request was not signed, as sign = False (--no-sign-request) asks for"
        elif failure.kind is FailureKind.NEEDS_MD5 and self._settings.checksum == "off":
            text = "checksum = 'off' (--checksum) forbids that: use 'when-required'"
        elif failure.kind in _OF_CHECKSUMS and self._learned.checksums != used.checksums:
            text = CHECKSUMS_NOT_TAKEN[self._learned.checksums]
        elif failure.kind is FailureKind.CLOCK and failure.date_s is not None:
            text = wrong_clock(self._utc_clock() - failure.date_s)
        elif failure.kind in _PERHAPS_A_PROXYS:
            place = used.endpoint
            text = self._routes.remark(place.host, place.port, failure.status, failure.code)
        elif failure.kind.is_foreign:
            text = likely_cause(failure) + self._routes.way(used.endpoint.host, used.endpoint.port)
        return text

    def _follow(self, operation: Operation, failure: Failure, used: Endpoint) -> bool:
        """To another region; or to another place, once for a bucket, and only where that is the same store
        (see `s3/redirect.py`)."""
        bucket, target = operation.bucket, self._targets.get(operation.bucket)
        if target is not None and target.endpoint != used:
            return True  # since this request was made
        if failure.kind is FailureKind.REGION:
            if failure.region in ("", used.region):
                return False
            try:
                found = self._new_target(bucket, failure.region).endpoint
            except ConfigError:  # no name that a host could have
                return False
            return found.region != used.region  # that of an ARN stays
        place = redirected(used, failure.location, bucket=bucket, key=operation.key)
        if place is None or used.of_region("") in self._learned.moved.values():
            return False
        self._learned.moved[used.of_region("")] = place.of_region("")
        self._new_target(bucket, used.region)
        return True

    def _remark_on_move(self, failure: Failure, used: _Signing) -> str:
        found = self._learned.moved.get(used.endpoint.of_region(""))
        if found is not None:
            return f"{used.endpoint.url} redirects to {found.url}: requests go there from now on"
        where, way = likely_cause(failure), self._routes.way(used.endpoint.host, used.endpoint.port)
        if used.endpoint.of_region("") in self._learned.moved.values():
            return f"{where}, after another redirect"
        if is_upgrade(used.endpoint, failure.location):
            return f"{where}: use https:// in the endpoint URL"
        return f"{where}, which need not be the same store: if it is, use it as the endpoint URL{way}"

    def _correct_checksums(self, operation: Operation, failure: Failure, used: ChecksumsTold) -> bool:
        """Where the store wants Content-MD5, that, instead of what it does not count.  Else the type alone
        is left out, where the store names it, or all. If-None-Match stays whatever it says."""
        if failure.kind is FailureKind.NEEDS_MD5:
            if self._settings.checksum == "off" or used == "md5":
                return False
            self._learned.checksums = "md5"
            return True
        if operation.checksum is None or used in ("none", "md5") or "none-match" in failure.message.lower():
            return False
        if self._learned.checksums == used:  # else: since this request was made
            names_type = _TYPE.search(failure.message) and used == "all"
            self._learned.checksums = "no-type" if names_type and operation.checksum.type else "none"
        return True

    def _correct_clock(self, failure: Failure, used_s: float) -> bool:
        skewed = failure.kind is FailureKind.CLOCK
        if not skewed and failure.code != "SignatureDoesNotMatch":
            return False
        if self._learned.offset_s != used_s:
            return True  # since this request was made
        if failure.date_s is None:
            return False
        offset_s = failure.date_s - self._utc_clock()
        if not skewed and abs(offset_s - used_s) < MIN_CLOCK_ERROR_S:
            return False
        self._learned.offset_s = offset_s
        return True

    def _new_target(self, bucket: str, region: str) -> _Target:
        endpoint = self._settings.endpoint(bucket, region)
        place = self._learned.moved.get(endpoint.of_region(""), endpoint)
        return self._add_target(bucket, place.of_region(endpoint.region))

    def _add_target(self, bucket: str, endpoint: Endpoint) -> _Target:
        """Raises `AttemptError` once the client is closed."""
        if self._closed:
            raise client_closed()
        where = endpoint.host, endpoint.port
        proxy = self._routes.proxy(*where)
        if where not in self._pools:
            self._pools[where] = self._routes.pool(*where, proxy)
        provider = self._provider_of(bucket, endpoint)
        target = self._targets[bucket] = _Target(endpoint, self._pools[where], proxy, provider)
        return target

    def _provider_of(self, bucket: str, endpoint: Endpoint) -> CredentialProvider:
        if not (endpoint.session and self._signs and self._settings.express_sessions):
            return self._provider
        if bucket not in self._sessions:
            from s3_upload.clients.bucket_sessions import BucketSessions

            create = partial(self._create_session, bucket)
            self._sessions[bucket] = BucketSessions(create, self._utc_clock)
        return self._sessions[bucket]

    async def _create_session(self, bucket: str) -> Session:
        """Signed with the account's credentials: as if for another bucket, of a name that none has."""
        target = self._targets.get(bucket) or self._new_target(bucket, self._settings.region)
        asking = f"{bucket}?session"
        self._targets[asking] = _Target(target.endpoint, target.pool, target.proxy, self._provider)
        where, hint = f"{self.endpoint}: bucket {bucket!r}", WRONG_ZONE if self.is_aws else ""
        answer = await bucket_requests.create_session(self.send, self.correct, asking, where, hint)
        return session_in(answer, self._utc_clock())

    def _new_routes(self, look_up: LookUp | None) -> Routes:
        """What is wrong with a proxy is said before anything is begun."""
        settings = self._settings
        routes = Routes(settings.proxies, tls=self._tls, verify=settings.verify, look_up=look_up)
        url = urlsplit(settings.endpoint_url or f"https://s3.{settings.region}.amazonaws.com")
        routes.proxy(url.hostname or "", url.port or DEFAULT_PORTS[url.scheme])
        return routes

    def _renew_signing(self, target: _Target, credentials: Credentials) -> None:
        endpoint = target.endpoint
        provider = target.provider
        target.signing = _Signing(
            provider, credentials, self._learned.offset_s, self._learned.checksums, endpoint
        )
        proxy = target.proxy if forwards(target.proxy, tls=self._tls is not None) else None
        target.encoder = RequestEncoder(
            host=endpoint.host_header,
            path_prefix=endpoint.base_path,
            signer=Signer(credentials, endpoint.region, endpoint.service) if self._signs else None,
            tls=self._tls is not None,
            checksums=self._learned.checksums,
            md5_where_needed=self._settings.checksum != "off",
            origin=endpoint.origin if proxy is not None else "",
            proxy_authorization=proxy.authorization if proxy is not None else "",
            hashes_payload=self._settings.hashes_payload(tls=self._tls is not None),
            app_id=self._settings.app_id,
            session=provider is not self._provider,
            directory=endpoint.service == S3_EXPRESS,
        )


def _leave_out_region(answer: Response, used: str) -> None:
    """A redirect that names a place, and the region that was `used`, is one to that place."""
    names_place = "location" in answer.headers or b"Endpoint>" in answer.body
    if names_place and answer.headers.get("x-amz-bucket-region") == used:
        del answer.headers["x-amz-bucket-region"]
