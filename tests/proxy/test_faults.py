"""The main cases of the fault tests once more, through a proxy that reads requests and one that tunnels."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import FailureKind
from tests.faults.actions import Action, Answer, Delay, Reset, Rule, Serve, Stall, Torn, s3_error
from tests.faults.uploads import PART_BYTES, stored
from tests.proxy.forward import ForwardProxy
from tests.proxy.test_ways import HOST, NAMES, upload, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer, Tls
    from tests.faults.server import FaultServer

BODIES = {"a": b"1" * 100, "b": b"2" * 300_000, "big": bytes(range(250)) * (PART_BYTES // 250 + 1)}
IMPATIENT = {"min_timeout": 0.3, "expected_upload_speed": 1000.0, "timeout": "origin"}


@pytest.fixture(params=["http", "https", "https proxy"])
def net(
    request: pytest.FixtureRequest, fault_server: StartFaultServer, tls: Tls
) -> Iterator[tuple[FaultServer, ForwardProxy, Tls]]:
    """Store by http, store by https, store by https through a proxy by https."""
    store_tls = None if request.param == "http" else tls.server_context
    proxy_tls = tls.server_context if request.param == "https proxy" else None
    with ExitStack() as stack:
        proxy = stack.enter_context(ForwardProxy(names=NAMES, tls=proxy_tls))
        yield fault_server(tls=store_tls), proxy, tls


Net = tuple["FaultServer", ForwardProxy, "Tls"]


def sent(net: Net, **settings: Any) -> UploadSummary:
    server, proxy, tls = net
    return upload(url_of(server, HOST), BODIES, proxy=proxy.url, verify=str(tls.ca_file), settings=settings)


@pytest.mark.parametrize(
    "action",
    [
        Reset(), Reset(0), Reset(50_000), Torn(b""), Torn(), Delay(0.1), Serve(silent=True),
        Serve(close=True), s3_error(503, "SlowDown"), s3_error(500, "InternalError"), Answer(502),
    ],
    ids=repr,
)  # fmt: skip
def test_what_passes_is_tried_again(net: Net, action: Action) -> None:
    server = net[0]
    server.set_script([Rule(action, method="PUT", attempt=1)])
    summary = sent(net, n_retries=5)
    assert not summary.failed
    assert stored(server) == BODIES


def test_an_answer_that_does_not_come_is_cut_and_asked_for_again(net: Net) -> None:
    server = net[0]
    server.set_script([Rule(Stall(), method="PUT", key="[ab]", attempt=1)])
    summary = sent(net, **IMPATIENT)
    assert not summary.failed
    assert stored(server) == BODIES
    assert FailureKind.TIMEOUT in summary.causes


def test_a_late_answer_is_hedged(net: Net) -> None:
    """By a second tunnel, or a second connection to the proxy."""
    server = net[0]
    server.set_script([Rule(Delay(5.0), method="PUT", key="a", attempt=1)])
    many = {f"{number}": b"x" for number in range(300)} | {"a": b"a"}
    _, proxy, tls = net
    summary = upload(
        url_of(server, HOST),
        many,
        proxy=proxy.url,
        verify=str(tls.ca_file),
        settings={"timeout": "adaptive", "hedge": "auto", "window": "adaptive"},
    )
    assert not summary.failed
    assert len(server.of("PUT", "a")) == 2


def test_a_store_that_goes_away_and_comes_back_behind_the_proxy(net: Net) -> None:
    """The proxy says 502 for it, to a request or to CONNECT."""
    server, proxy, tls = net
    bodies = {f"{number}": b"x" * 1000 for number in range(200)}
    away: list[threading.Timer] = []

    def progress(_: object) -> None:
        if not away:
            server.go_away()
            away.append(threading.Timer(0.5, server.come_back))
            away[0].start()

    summary = upload(
        url_of(server, HOST),
        bodies,
        proxy=proxy.url,
        verify=str(tls.ca_file),
        # What reads the requests is told from a store that fails within a second of nothing but 502s.
        settings={"n_retries": 12, "max_outage_s": 30.0},
        progress=progress,
    )
    away[0].join()
    assert not summary.failed
    assert stored(server) == bodies


def test_a_proxy_that_goes_away_and_comes_back(fault_server: StartFaultServer, tls: Tls) -> None:
    server = fault_server(tls=tls.server_context)
    bodies = {f"{number}": b"x" * 1000 for number in range(200)}
    with ExitStack() as stack:
        first = ForwardProxy(names=NAMES)
        url = first.__enter__().url

        def restart() -> None:
            stack.enter_context(ForwardProxy(names=NAMES, port=first.port))

        back = threading.Timer(0.5, restart)

        def progress(_: object) -> None:
            if back.ident is None:
                first.__exit__()
                back.start()

        summary = upload(
            url_of(server, HOST),
            bodies,
            proxy=url,
            verify=str(tls.ca_file),
            settings={"n_retries": 1, "max_outage_s": 30.0},
            progress=progress,
        )
        back.join()
    assert not summary.failed
    assert stored(server) == bodies
