"""No user and no password of a proxy appears in any log, repr, report or error, at debug level either."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import uvloop

from s3_upload import Credentials, ObjectSource, RunError, S3Client, s3_upload_files
from s3_upload.proxy import Proxy
from tests.faults.uploads import BUCKET, Reports, config
from tests.living import reprs_of_ours
from tests.proxy.forward import ForwardProxy
from tests.proxy.socks import SocksProxy
from tests.proxy.test_ways import HOST, NAMES, url_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import StartFaultServer, Tls

USER, PASSWORD = "Us3rName", "P%40ssW0rd"
LOGIN = f"{USER}:P@ssW0rd"
SECRETS = (USER, PASSWORD, "P@ssW0rd", base64.b64encode(LOGIN.encode()).decode())


@pytest.mark.parametrize(
    "factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["http", "https", "socks5h"])
@pytest.mark.parametrize("login", [LOGIN, "other:login"], ids=["right", "wrong"])
def test_logs_reprs_reports_and_errors(  # noqa: PLR0917 - fixtures
    fault_server: StartFaultServer,
    tls: Tls,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    factory: Callable[[], asyncio.AbstractEventLoop],
    scheme: str,
    kind: str,
    login: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = fault_server(tls=tls.server_context if scheme == "https" else None)
    reports, told, stopped = Reports(), [], list[RunError]()
    proxy_tls = tls.server_context if kind == "https" else None
    proxy = SocksProxy(names=NAMES, login=login) if kind == "socks5h" else None
    proxy = proxy or ForwardProxy(names=NAMES, login=login, tls=proxy_tls)  # type: ignore[assignment]
    assert proxy is not None

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0  # all is slow, and logged with its arguments
        async with S3Client(
            endpoint_url=url_of(server, HOST),
            region="r",
            credentials=Credentials("key", "secret"),
            verify=str(tls.ca_file),
        ) as client:
            told.append(repr(client))
            files = [ObjectSource.data(b"1", "a")]
            try:
                told.append(str(await s3_upload_files(client, BUCKET, files, config(), reports)))
            except RunError as error:
                stopped.append(error)
                told.extend((str(error), repr(error), repr(error.__cause__), repr(error.summary)))
            told.append(reprs_of_ours(Credentials, Proxy))

    with proxy:
        monkeypatch.setenv("ALL_PROXY", f"{kind}://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}")
        with asyncio.Runner(loop_factory=factory, debug=True) as runner:
            runner.run(main())
    told += [
        *map(str, reports),
        repr(reports),
        str([msgspec.structs.asdict(report) for report in reports]),
        caplog.text,
    ]
    assert [str(error).count("does not accept") for error in stopped] == [1] * (login != LOGIN)
    assert not [secret for secret in SECRETS if secret in "\n".join(told)]


def test_nothing_of_a_settings_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    from s3_upload.account.settings import resolve_settings

    monkeypatch.setenv("ALL_PROXY", f"http://{USER}:{PASSWORD}@p.test")
    settings: Any = resolve_settings()
    assert not [secret for secret in SECRETS if secret in repr(settings)]
