"""Which proxy for which URL: the decision alone, and what it shows of passwords (nothing)."""

from __future__ import annotations

import base64

import pytest

from s3_upload.errors import ConfigError
from s3_upload.proxy import DIRECT, Proxy, parse_proxy, proxy_rules

A, B = "http://a.test:1", "http://b.test:2"


def found(environ: dict[str, str], url: str, proxy: str | None = None) -> str:
    """HOST:PORT of the proxy for `url`, "" for none."""
    scheme, _, place = url.partition("://")
    host, _, port = place.rpartition(":")
    one = proxy_rules(proxy, environ).proxy_for(scheme, host.strip("[]"), int(port))
    return one.name if one is not None else ""


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, "", ""),
        ({"HTTP_PROXY": A}, "a.test:1", ""),
        ({"HTTPS_PROXY": A}, "", "a.test:1"),
        ({"ALL_PROXY": A}, "a.test:1", "a.test:1"),
        ({"all_proxy": A}, "a.test:1", "a.test:1"),
        ({"http_proxy": A, "https_proxy": B}, "a.test:1", "b.test:2"),
        ({"http_proxy": A, "HTTP_PROXY": B}, "a.test:1", ""),  # the lower case comes first
        ({"https_proxy": A, "HTTPS_PROXY": B}, "", "a.test:1"),
        ({"all_proxy": A, "ALL_PROXY": B}, "a.test:1", "a.test:1"),
        ({"HTTPS_PROXY": A, "ALL_PROXY": B}, "b.test:2", "a.test:1"),
        # an empty variable counts as unset
        ({"https_proxy": "", "HTTPS_PROXY": A}, "", "a.test:1"),
        ({"https_proxy": " ", "HTTPS_PROXY": "", "all_proxy": "", "ALL_PROXY": A}, "a.test:1", "a.test:1"),
        ({"HTTP_PROXY": "", "HTTPS_PROXY": ""}, "", ""),
        # in a CGI script HTTP_PROXY is the client's
        ({"HTTP_PROXY": A, "REQUEST_METHOD": "GET"}, "", ""),
        ({"http_proxy": A, "REQUEST_METHOD": "GET"}, "a.test:1", ""),
        ({"HTTPS_PROXY": A, "REQUEST_METHOD": "GET"}, "", "a.test:1"),
        ({"HTTP_PROXY": A, "REQUEST_METHOD": ""}, "a.test:1", ""),
        ({"FTP_PROXY": A, "PROXY": A}, "", ""),
    ],
)
def test_the_variable_of_the_scheme_then_that_for_all(environ: dict[str, str], http: str, https: str) -> None:
    assert found(environ, "http://s3.test:80") == http
    assert found(environ, "https://s3.test:443") == https


@pytest.mark.parametrize("url", ["http://s3.test:80", "https://s3.test:443"])
def test_an_argument_counts_for_more_than_the_environment(url: str) -> None:
    environ = {"ALL_PROXY": A, "NO_PROXY": "*"}
    assert found(environ, url, proxy=B) == "b.test:2"
    assert found({"ALL_PROXY": A}, url, proxy="none") == ""
    assert proxy_rules("none", environ).by_scheme == DIRECT.by_scheme


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "https://s3.test:443"),
        ("other.test,*", "https://s3.test:443"),
        ("s3.test", "https://s3.test:443"),
        ("S3.Test", "https://s3.test:443"),
        ("s3.test", "https://S3.TEST:443"),
        ("s3.test.", "https://s3.test:443"),
        ("s3.test", "https://s3.test.:443"),
        ("s3.test", "https://bucket.s3.test:443"),
        (".s3.test", "https://bucket.s3.test:443"),
        (".s3.test", "https://s3.test:443"),
        ("*.s3.test", "https://bucket.s3.test:443"),
        ("a.test, s3.test", "https://s3.test:443"),
        ("a.test s3.test", "https://s3.test:443"),
        (",, s3.test ,", "https://s3.test:443"),
        ("s3.test:443", "https://s3.test:443"),
        ("s3.test:9000", "https://b.s3.test:9000"),
        (".s3.test:9000", "https://b.s3.test:9000"),
        ("localhost", "http://localhost:9000"),
        ("10.1.2.3", "https://10.1.2.3:443"),
        ("10.1.2.3:9000", "https://10.1.2.3:9000"),
        ("10.0.0.0/8", "https://10.1.2.3:443"),
        ("10.1.2.3/8", "https://10.9.9.9:443"),
        ("::1", "https://[::1]:443"),
        ("[::1]", "https://[::1]:443"),
        ("[::1]:9000", "https://[::1]:9000"),
        ("0:0:0:0:0:0:0:1", "https://[::1]:443"),
        ("fd00::/8", "https://[fd12::1]:443"),
        ("[fd00::]/8", "https://[fd12::1]:443"),
        ("10.0.0.0/8:443", "https://10.1.2.3:443"),
        ("[fd00::/8]:443", "https://[fd12::1]:443"),
    ],
)
def test_what_no_proxy_names_is_asked_directly(no_proxy: str, url: str) -> None:
    assert found({"ALL_PROXY": A, "NO_PROXY": no_proxy}, url) == ""
    assert found({"ALL_PROXY": A, "no_proxy": no_proxy}, url) == ""


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "https://s3.test:443"),
        ("3.test", "https://s3.test:443"),
        ("bucket.s3.test", "https://s3.test:443"),
        ("s3.test:443", "https://s3.test:9000"),
        ("s3.test:x", "https://s3.test:443"),
        ("test.s3", "https://s3.test:443"),
        ("10.1.2.3", "https://10.1.2.30:443"),
        ("1.2.3", "https://10.1.2.3:443"),
        ("2.3", "https://10.1.2.3:443"),
        ("10.1.2.3:1", "https://10.1.2.3:443"),
        ("10.0.0.0/8", "https://11.1.2.3:443"),
        ("10.0.0.0/8", "https://[fd12::1]:443"),
        ("10.0.0.0/99", "https://10.1.2.3:443"),
        ("10.0.0.0/8:9000", "https://10.1.2.3:443"),
        ("[fd00::/8]:9000", "https://[fd12::1]:443"),
        ("0.0.0.0/0", "https://s3.test:443"),  # names are not looked up for it
        (".", "https://s3.test:443"),
        ("::1", "https://[::2]:443"),
    ],
)
def test_nothing_else_is(no_proxy: str, url: str) -> None:
    assert found({"ALL_PROXY": A, "NO_PROXY": no_proxy}, url) == "a.test:1"


def test_the_lower_case_of_no_proxy_comes_first_and_an_empty_one_is_none() -> None:
    environ = {"ALL_PROXY": A, "NO_PROXY": "s3.test", "no_proxy": "other.test"}
    assert found(environ, "https://s3.test:443") == "a.test:1"
    assert found(environ | {"no_proxy": ""}, "https://s3.test:443") == ""


@pytest.mark.parametrize(
    ("url", "scheme", "name"),
    [
        ("http://p.test:3128", "http", "p.test:3128"),
        ("http://p.test:3128/", "http", "p.test:3128"),
        ("p.test:3128", "http", "p.test:3128"),
        ("p.test", "http", "p.test:80"),
        ("HTTP://P.test", "http", "P.test:80"),
        ("https://p.test", "https", "p.test:443"),
        ("socks5://p.test", "socks5", "p.test:1080"),
        ("socks5h://p.test:9", "socks5h", "p.test:9"),
        (" http://p.test:1 ", "http", "p.test:1"),
        ("http://[::1]:3128", "http", "[::1]:3128"),
        ("http://[::1]", "http", "[::1]:80"),
        ("10.0.0.1:8080", "http", "10.0.0.1:8080"),
    ],
)
def test_urls_as_people_write_them(url: str, scheme: str, name: str) -> None:
    proxy = parse_proxy(url, "HTTPS_PROXY")
    assert (proxy.scheme, proxy.name, proxy.authorization) == (scheme, name, "")


@pytest.mark.parametrize(
    ("userinfo", "decoded"),
    [
        ("user:password", b"user:password"),
        ("user", b"user:"),
        ("user:", b"user:"),
        ("us%20er:p%40ss%3A%2F%23%25", b"us er:p@ss:/#%"),
        ("user:p@ss/w#rd?", b"user:p@ss/w#rd?"),  # as nobody should write it
        ("user:%C3%BC", "user:ü".encode()),
        ("user:100%", b"user:100%"),
        ("us\udce4r:p\udce4ss", b"us\xe4r:p\xe4ss"),  # no UTF-8 in the environment
        ("DOMAIN\\user:x", b"DOMAIN\\user:x"),
    ],
)
def test_user_and_password_are_decoded_and_shown_nowhere(userinfo: str, decoded: bytes) -> None:
    for scheme in ("http://", "https://", ""):
        proxy = parse_proxy(f"{scheme}{userinfo}@p.test:3128", "HTTPS_PROXY")
        assert proxy.name == "p.test:3128"
        assert base64.b64decode(proxy.authorization.removeprefix("Basic ")) == decoded
        assert proxy.url == f"{scheme or 'http://'}***@p.test:3128"
        assert repr(proxy) == f"Proxy({proxy.url!r}, from HTTPS_PROXY)"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://u:s3cr3t@p.test", "begins with http://, https://, socks5:// or socks5h://"),
        ("socks4://u:s3cr3t@p.test", "begins with http://, https://, socks5:// or socks5h://"),
        ("http://u:s3cr3t@", "names no host"),
        ("http://u:s3cr3t\ud800@p.test", "what is no character"),
        ("http://u:s3cr3t@p.test:x", "the port must be"),
        ("http://u:s3cr3t@p.test:0", "the port must be"),
        ("http://u:s3cr3t@p.test:65536", "the port must be"),
        ("http://u:s3cr3t@p test", "names no host"),
        ("http://u:s3cr3t@p.test/path", "has a path"),
        ("http://p.test:3128/path", "has a path"),
        ("http://u:s3cr3t:x", "names no host"),
        ("http://u:s3#cr3t?s3cr3t@p.test:x", "the port must be"),
        ("u:s3cr3t/s3cr3t@p.test:x", "the port must be"),
        ("http://", "names no host"),
        ("http://user:s3cr3t", "the port must be"),  # the host is forgotten
        ("user:s3cr3t/s3cr3t", "has a path"),
    ],
)
def test_a_wrong_url_is_one_line_without_the_password(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        proxy_rules(None, {"HTTPS_PROXY": url}).proxy_for("https", "s3.test", 443)
    text = str(caught.value)
    assert text.startswith("HTTPS_PROXY = ")
    assert "s3" not in text.replace("s3.test", "")
    assert "cr3t" not in text
    assert "\n" not in text


def test_a_wrong_url_harms_nobody_who_does_not_need_it() -> None:
    environ = {"HTTPS_PROXY": "ftp://p.test", "NO_PROXY": "s3.test"}
    assert found(environ, "https://s3.test:443") == ""
    assert found(environ, "http://other.test:80") == ""


def test_rules_show_no_password() -> None:
    rules = proxy_rules(
        None, {"HTTPS_PROXY": "http://u:s3cr3t@p.test:1", "ALL_PROXY": "http://u:s3cr3t@q.test"}
    )
    assert repr(rules) == "ProxyRules(http by ALL_PROXY, https by HTTPS_PROXY)"
    assert repr(proxy_rules("http://u:s3cr3t@p.test", {})) == "ProxyRules(http by proxy, https by proxy)"


def test_a_proxy_of_an_empty_user_still_says_who_asks() -> None:
    proxy = Proxy(scheme="http", host="p.test", port=1, origin="x", user=b"", password=b"token")
    assert proxy.authorization == "Basic OnRva2Vu"
