"""A proxy that refuses, is dead, or is none: one line that names it, and shows neither user nor password."""

from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from s3_upload import (
    ConfigError,
    Credentials,
    FailureKind,
    ObjectSource,
    RunError,
    S3Client,
    s3_upload_files,
)
from tests.faults.actions import Action, Garbage, Reset, Torn
from tests.faults.uploads import config
from tests.proxy.forward import ForwardProxy, answer
from tests.proxy.socks import HOST_UNREACHABLE, REFUSED_BY_RULE, SocksProxy
from tests.proxy.test_ways import HOST, LOOPS, NAMES, upload, url_of
from tests.proxy.tiny import TINYPROXY, tinyproxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartFaultServer, Tls
    from tests.faults.server import FaultServer

USER, PASSWORD = "us er", "p@ss:/#%w0rd"
LOGIN = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
WORDS = (USER, PASSWORD, *LOGIN.split(":"), base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
BODIES = {"a": b"1", "b": b"2"}
SCHEMES = ["http", "https"]
K = FailureKind


@pytest.fixture(params=SCHEMES)
def store(request: pytest.FixtureRequest, fault_server: StartFaultServer, tls: Tls) -> FaultServer:
    return fault_server(tls=tls.server_context if request.param == "https" else None)


@pytest.fixture
def url(store: FaultServer) -> str:
    return url_of(store, HOST)


def refusal(url: str, proxy: str, tls: Tls, **options: Any) -> RunError:
    """What stops the run."""
    options = {"verify": str(tls.ca_file), "settings": {"n_retries": 4}, **options}
    with pytest.raises(RunError) as caught:
        upload(url, BODIES, proxy=proxy, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert not [word for word in WORDS if word in text]
    place = proxy.rpartition("@")[2].rpartition("/")[2]
    assert f"the proxy {place} (--proxy; in Python: proxy)" in text
    return caught.value


def with_login(url: str, login: str = LOGIN) -> str:
    return url.replace("://", f"://{login}@")


def test_a_login_is_percent_decoded(url: str, store: FaultServer, tls: Tls) -> None:
    with ForwardProxy(names=NAMES, login=f"{USER}:{PASSWORD}") as proxy:
        upload(url, BODIES, proxy=with_login(proxy.url), verify=str(tls.ca_file)).raise_for_failures()
    assert store.counts["200"] == 2
    assert not any("proxy-authorization" in request.headers for request in store.requests)


def test_407_without_a_login(url: str, store: FaultServer, tls: Tls) -> None:
    with ForwardProxy(names=NAMES, login=f"{USER}:{PASSWORD}") as proxy:
        error = refusal(url, proxy.url, tls)
    assert error.kind is K.PROXY
    assert "wants a user and password: write them into its URL, http://USER:PASSWORD@" in str(error)
    assert store.requests == []
    assert len(proxy.heads) <= len(BODIES), "it is not tried again"


def test_407_for_a_login_that_is_wrong(url: str, tls: Tls) -> None:
    with ForwardProxy(names=NAMES, login="other:login") as proxy:
        error = refusal(url, with_login(proxy.url), tls)
    assert error.kind is K.PROXY
    assert "does not accept the user and password in its URL: correct them" in str(error)


@pytest.mark.parametrize("kind", ["ours", *(["tinyproxy"] if TINYPROXY else [])])
@pytest.mark.parametrize("login", ["", "other:wrong", "user:right"])
def test_a_login_for_every_proxy(store: FaultServer, tls: Tls, tmp_path: Path, kind: str, login: str) -> None:
    """tinyproxy says 401 to a wrong one, not 407."""
    with ExitStack() as stack:
        if kind == "tinyproxy":
            plain = stack.enter_context(tinyproxy(tmp_path, login="user:right"))
        else:
            plain = stack.enter_context(ForwardProxy(login="user:right")).url
        proxy = with_login(plain, login) if login else plain
        if login == "user:right":
            upload(store.url, BODIES, proxy=proxy, verify=str(tls.ca_file)).raise_for_failures()
        else:
            words = "does not accept the user" if login else "wants a user and password"
            assert words in str(refusal(store.url, proxy, tls))


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("403 Forbidden", K.PROXY, "opens no tunnel to store.internal:PORT: 403 Forbidden; have it allowed"),
        ("405 Method Not Allowed", K.PROXY, "opens no tunnel to store.internal:PORT: 405 Method Not Allowed"),
        ("302 Found", K.PROXY, "opens no tunnel to store.internal:PORT: 302 Found"),
        ("502 Bad Gateway", K.CONNECT, "cannot reach store.internal:PORT: 502 Bad Gateway"),
        ("503 Service Unavailable", K.CONNECT, "cannot reach store.internal:PORT: 503 Service Unavailable"),
        ("504", K.CONNECT, "cannot reach store.internal:PORT: 504"),
        ("500 \x1b[31mred\x07", K.CONNECT, "cannot reach store.internal:PORT: 500 \\x1b[31mred\\x07"),
    ],
)
def test_connect_is_refused(
    fault_server: StartFaultServer, tls: Tls, status: str, kind: FailureKind, words: str
) -> None:
    server = fault_server(tls=tls.server_context)
    with ForwardProxy(names=NAMES, refuse=lambda _: answer(status)) as proxy:
        error = refusal(url_of(server, HOST), proxy.url, tls)
    assert error.kind is kind
    assert words.replace("PORT", str(server.port)) in str(error)
    assert len(proxy.heads) <= (1 if kind is K.PROXY else 5) * len(BODIES)


def test_a_name_that_the_proxy_cannot_resolve(fault_server: StartFaultServer, tls: Tls) -> None:
    server = fault_server(tls=tls.server_context)
    with ForwardProxy() as proxy:
        error = refusal(url_of(server, HOST), proxy.url, tls)
    assert error.kind is K.CONNECT
    assert "502 Bad Gateway" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [("403 Forbidden", K.ACCESS_DENIED), ("407 Proxy Authentication Required", K.PROXY)]
)
def test_a_proxy_refuses_a_request_that_it_reads(
    fault_server: StartFaultServer, tls: Tls, status: str, kind: FailureKind
) -> None:
    with ForwardProxy(names=NAMES, refuse=lambda _: answer(status)) as proxy:
        error = refusal(url_of(fault_server(), HOST), proxy.url, tls)
    assert error.kind is kind


def test_what_is_no_proxy(fault_server: StartFaultServer, tls: Tls) -> None:
    server, other = fault_server(tls=tls.server_context), fault_server(on_connect=lambda _: Garbage())
    error = refusal(url_of(server, HOST), other.url, tls)
    assert error.kind is K.PROXY
    assert "is not an HTTP proxy: its answer is not HTTP/1.1" in str(error)


def test_a_proxy_that_speaks_tls_and_is_not_expected_to(fault_server: StartFaultServer, tls: Tls) -> None:
    server = fault_server(tls=tls.server_context)
    with ForwardProxy(names=NAMES, tls=tls.server_context) as proxy:
        error = refusal(url_of(server, HOST), proxy.url.replace("https", "http"), tls)
    assert error.kind in (K.PROXY, K.CONNECT)


def test_a_proxy_that_does_not_speak_tls(url: str, tls: Tls) -> None:
    with ForwardProxy(names=NAMES) as proxy:
        error = refusal(url, proxy.url.replace("http", "https"), tls)
    assert error.kind is K.TLS_MISMATCH
    assert "does not speak TLS; use http:// in its URL (--proxy" in str(error)


def test_a_page_that_a_proxy_puts_in_the_place_of_the_store_names_the_way(
    fault_server: StartFaultServer, tls: Tls
) -> None:
    """As a captive portal does, which says yes to CONNECT."""
    portal = fault_server()  # without TLS
    with ForwardProxy(names=NAMES) as proxy:
        error = refusal(f"https://{HOST}:{portal.port}", proxy.url, tls)
    assert error.kind is K.TLS_MISMATCH
    assert "; the way leads through the proxy 127.0.0.1" in str(error)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("200 OK", "does not look like an S3 endpoint"),
        ("302 Found\r\nLocation: http://login.test/", "redirects"),
    ],
)
def test_a_page_in_the_place_of_a_store_over_http_names_the_way(
    fault_server: StartFaultServer, tls: Tls, head: str, words: str
) -> None:
    with ForwardProxy(names=NAMES, refuse=lambda _: answer(head)) as proxy:
        error = refusal(url_of(fault_server(), HOST), proxy.url, tls)
    assert words in str(error)
    assert "; the way leads through the proxy 127.0.0.1" in str(error)


@pytest.mark.parametrize("action", [Reset(), Torn()])
def test_a_proxy_that_hangs_up_on_requests_over_http_is_named(
    fault_server: StartFaultServer, action: Action
) -> None:
    hangs_up = fault_server(lambda _: action)  # as a proxy
    with_one_retry = {"n_retries": 1, "max_outage_s": 0}
    try:
        summary = upload(f"http://{HOST}", BODIES, proxy=hangs_up.url, settings=with_one_retry)
    except RunError as error:
        said = [str(error)]
    else:
        said = [str(report.error) for report in summary.failed]
    place = hangs_up.url.rpartition("/")[2]
    assert said
    assert all(f"; the way leads through the proxy {place} (--proxy" in text for text in said), said


@pytest.mark.parametrize("verify", [True, False])
def test_the_certificate_of_a_proxy_is_checked_whatever_the_stores_is(
    url: str, tls: Tls, *, verify: bool
) -> None:
    with ForwardProxy(names=NAMES, tls=tls.server_context) as proxy:
        error = refusal(url, proxy.url, tls, verify=verify)
    assert error.kind is K.CERTIFICATE
    assert "the certificate of the proxy" in str(error)


def test_the_certificate_of_the_store_is_checked_through_a_proxy(
    fault_server: StartFaultServer, tls: Tls
) -> None:
    server = fault_server(tls=tls.server_context)
    with ForwardProxy(names={"other.internal": "127.0.0.1"}) as proxy:
        error = refusal(url_of(server, "other.internal"), proxy.url, tls)
    assert error.kind is K.CERTIFICATE
    assert "the certificate of other.internal is not trusted: " in str(error)


@pytest.fixture
def dead_port() -> Iterator[int]:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https", "socks5h", "socks5"])
def test_a_dead_proxy(url: str, tls: Tls, dead_port: int, scheme: str) -> None:
    error = refusal(
        url.replace(HOST, "localhost"), f"{scheme}://{LOGIN.replace('%', '')}@127.0.0.1:{dead_port}", tls
    )
    assert error.kind is K.CONNECT
    assert "Connection refused; is it the right one, and running?" in str(error)


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_the_name_of_a_proxy_is_not_known(url: str, tls: Tls, scheme: str) -> None:
    async def look_up(host: str, _port: int) -> list[str]:
        assert host == "proxy.invalid", "the store's name is the proxy's business"
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(RunError) as caught:
        upload(url, BODIES, proxy=f"{scheme}://{with_login('')}proxy.invalid:3128", look_up=look_up)
    assert caught.value.kind is K.HOST_UNKNOWN
    assert str(caught.value) == (
        "the host name 'proxy.invalid' of the proxy (--proxy; in Python: proxy) cannot be resolved: "
        "Name or service not known"
    )


def test_a_proxy_that_never_answers(fault_server: StartFaultServer, tls: Tls) -> None:
    server = fault_server(tls=tls.server_context)
    with ForwardProxy(mute=True) as proxy:
        settings = {"n_retries": 4, "connect_timeout_s": 0.1}
        error = refusal(url_of(server, HOST), proxy.url, tls, settings=settings)
    assert error.kind is K.CONNECT
    assert f"no connection to {HOST}:{server.port} within 0.1 s; the way leads through the proxy" in str(
        error
    )


@pytest.mark.parametrize(
    ("options", "login", "kind", "words"),
    [
        ({"login": "other:login"}, "", K.PROXY, "wants a user and password"),
        ({"login": "other:login"}, "user:word", K.PROXY, "does not accept the user and password"),
        ({"reply": REFUSED_BY_RULE}, "", K.PROXY, "opens no tunnel to store.internal:PORT: "),
        ({"reply": HOST_UNREACHABLE}, "", K.CONNECT, "cannot reach store.internal:PORT: "),
        ({"names": {}}, "", K.CONNECT, "cannot reach store.internal:PORT: "),
    ],
)
def test_socks_refuses(  # noqa: PLR0917 - fixtures
    url: str, store: FaultServer, tls: Tls, options: dict[str, Any], login: str, kind: FailureKind, words: str
) -> None:
    with SocksProxy(**{"names": NAMES, **options}) as proxy:
        place = f"socks5h://127.0.0.1:{proxy.port}"
        error = refusal(url, with_login(place, login) if login else place, tls)
    assert error.kind is kind
    assert words.replace("PORT", str(store.port)) in str(error)


def test_socks_with_a_login(url: str, store: FaultServer, tls: Tls) -> None:
    with SocksProxy(names=NAMES, login=f"{USER}:{PASSWORD}") as proxy:
        place = with_login(f"socks5h://127.0.0.1:{proxy.port}")
        upload(url, BODIES, proxy=place, verify=str(tls.ca_file)).raise_for_failures()
    assert store.counts["200"] == 2


@pytest.mark.parametrize("login", ["user:p%C3%BCss", "user:" + 256 * "x"])
def test_a_login_that_socks_cannot_carry(login: str) -> None:
    with pytest.raises(ConfigError, match=r"proxy = 'socks5://\*\*\*@p\.test:1080': SOCKS takes a user"):
        S3Client(proxy=f"socks5://{login}@p.test")


def test_socks_without_its_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "python_socks", None)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:word@p.test")
    with pytest.raises(ConfigError) as caught:
        S3Client()
    assert str(caught.value) == (
        "HTTPS_PROXY = 'socks5://***@p.test:1080': a SOCKS proxy needs python-socks: pip install python-socks"
    )
    S3Client(endpoint_url="http://store.test")  # which goes another way


@pytest.mark.parametrize("kind", ["http", "https", "socks5h"])
def test_a_client_is_closed_while_a_proxy_is_silent(url: str, tls: Tls, kind: str) -> None:
    """Nothing is left, neither task nor connection."""

    async def main(proxy: ForwardProxy, place: str) -> None:
        client = S3Client(
            endpoint_url=url,
            region="r",
            credentials=Credentials("a", "b"),
            proxy=place,
            verify=str(tls.ca_file),
        )
        files = [ObjectSource.data(b"1", "a")]
        run = asyncio.create_task(s3_upload_files(client, "bucket", files, config()))
        while not proxy.open_connections:  # noqa: ASYNC110 - another thread counts them
            await asyncio.sleep(0.01)
        await client.aclose()
        with pytest.raises(RunError) as caught:
            await run
        assert caught.value.kind is K.CLIENT_CLOSED
        while proxy.open_connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with ForwardProxy(mute=True, tls=tls.server_context if kind == "https" else None) as proxy:
        place = f"{kind}://127.0.0.1:{proxy.port}"
        for new_loop in LOOPS.values():
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main(proxy, place))
