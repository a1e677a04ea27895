"""Which proxy a request goes through: what is said in a call, else in the environment. Pure.

The variables are those that curl and Python's own libraries read: `http_proxy` or `https_proxy` by the
scheme of the URL, then `all_proxy`, but for what `no_proxy` names.  Of each the lower-case spelling comes
first, and one that is empty counts as unset.  HTTP_PROXY in capitals is ignored where REQUEST_METHOD is set:
in a CGI script that is the request's header "Proxy", and so anybody's (https://httpoxy.org).

`no_proxy` is a list with commas or blanks between.  "*" is all; "example.com", ".example.com" and
"*.example.com" are the domain and all below it; an address is itself; "10.0.0.0/8" is what lies in it, for
hosts that are given as addresses (names are not looked up for it); each may end in ":PORT".

User and password are in no text of this module's: not in a repr, not in an error.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import msgspec

from s3_upload.errors import ConfigError
from s3_upload.urls import address_of, is_host, shown

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The schemes of proxies; the ports where a URL names none."""
NONE = "none"
"""In the place of a URL: no proxy, whatever the environment says."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PORT = re.compile(r"[0-9]{1,5}")


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy. `origin`: where it was named; `user` and `password` are decoded, None where there are none."""

    scheme: str
    host: str
    port: int
    origin: str
    user: bytes | None = None
    password: bytes = b""

    def __repr__(self) -> str:
        return f"Proxy({self.url!r}, from {self.origin})"

    @property
    def name(self) -> str:
        """HOST:PORT."""
        return host_and_port(self.host, self.port)

    @property
    def url(self) -> str:
        """To show: without user and password."""
        return f"{self.scheme}://{'***@' if self.user is not None else ''}{self.name}"

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def authorization(self) -> str:
        """The value of Proxy-Authorization, "" for none."""
        if self.user is None:
            return ""
        return "Basic " + base64.b64encode(self.user + b":" + self.password).decode()


class ProxyRules(msgspec.Struct, frozen=True):
    """Which URL goes through which proxy. `by_scheme`: a URL's scheme -> where its proxy was named, and that
    proxy's URL; `by_argument`: not in the environment."""

    by_scheme: Mapping[str, tuple[str, str]] = {}
    no_proxy: str = ""
    by_argument: bool = False

    def __repr__(self) -> str:
        said = ", ".join(f"{scheme} by {origin}" for scheme, (origin, _) in self.by_scheme.items())
        return f"ProxyRules({said})"  # the URLs may hold passwords

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """None where it is asked directly. Raises `ConfigError` for a URL of a proxy that is none."""
        named = self.by_scheme.get(scheme)
        if named is None or _is_excepted(self.no_proxy, host, port):
            return None
        origin, url = named
        return parse_proxy(url, origin)


DIRECT = ProxyRules()


def proxy_rules(proxy: str | None, environ: Mapping[str, str]) -> ProxyRules:
    """The rules in force. `proxy`: what an argument says, the URL of the proxy for everything or "none"; None
    for what the environment says. Raises `ConfigError` for an argument that is neither."""
    if proxy is not None:
        if proxy == NONE:
            return ProxyRules(by_argument=True)
        parse_proxy(proxy, "proxy")
        return ProxyRules(dict.fromkeys(("http", "https"), ("proxy", proxy)), by_argument=True)
    by_scheme = {}
    for scheme in ("http", "https"):
        names = [*_spellings(scheme, environ), *_spellings("all", environ)]
        found = next(((name, environ[name]) for name in names if environ.get(name, "").strip()), None)
        if found is not None:
            by_scheme[scheme] = found
    no_proxy = environ.get("no_proxy", "").strip() or environ.get("NO_PROXY", "")
    return ProxyRules(by_scheme, no_proxy) if by_scheme else DIRECT


def _spellings(scheme: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    lower = f"{scheme}_proxy"
    return (lower,) if scheme == "http" and environ.get("REQUEST_METHOD") else (lower, lower.upper())


def parse_proxy(url: str, origin: str) -> Proxy:
    """[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]; without a scheme it is http.

    Raises `ConfigError`, which calls the setting `origin`.
    """

    def wrong(why: str) -> ConfigError:
        return ConfigError(f"{origin} = {shown(text)!r}: {why}")

    text = url.strip()
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else "http"
    if scheme not in PORTS:
        raise wrong("a proxy's URL begins with http://, https://, socks5:// or socks5h://")
    # From the last "@" on: passwords hold "@", "/" and "#" that nobody has encoded.
    userinfo, at, place = text[match.end() if match else 0 :].rpartition("@")
    host, port = _split(place.removesuffix("/"))
    name, _, rest = place.partition(":")
    if not (at or place.startswith("[") or is_host(place) or rest.rstrip("/").isdigit() or not rest):
        text = text.removesuffix(place) + f"{name}:***"  # USER:PASSWORD, perhaps, whose host was forgotten
    if "/" in place.removesuffix("/"):
        raise wrong("has a path: give host and port alone, as in http://proxy.example.com:3128")
    if not host or not is_host(host):
        raise wrong("names no host; use one like http://proxy.example.com:3128")
    if port and (not _PORT.fullmatch(port) or not 0 < int(port) < 65536):
        raise wrong("the port must be from 1 to 65535")
    user, _, password = userinfo.partition(":")
    try:
        login = _decoded(user), _decoded(password)
    except UnicodeEncodeError:  # its text holds the password
        raise wrong("user or password hold what is no character") from None
    return Proxy(
        scheme=scheme,
        host=host,
        port=int(port) if port else PORTS[scheme],
        origin=origin,
        user=login[0] if at else None,
        password=login[1],
    )


def _decoded(text: str) -> bytes:
    """Without percent encoding; what is no UTF-8 in the environment are the bytes that stand there."""
    return unquote_to_bytes(text.encode(errors="surrogateescape"))


def host_and_port(host: str, port: int) -> str:
    """As CONNECT names a place: always with its port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(place: str) -> tuple[str, str]:
    """Host, without brackets, and port of "host", "host:1", "[::1]:1" or "::1"."""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":")
    if place.count(":") > 1:
        return place, ""
    host, _, port = place.partition(":")
    return host, port


def _is_excepted(no_proxy: str, host: str, port: int) -> bool:
    """Whether NO_PROXY names the host. An entry that means nothing excepts nothing."""
    host = host.lower().rstrip(".")
    address = address_of(host)
    for entry in no_proxy.lower().replace(",", " ").split():
        if entry == "*":
            return True
        name, of_port = _split(entry.replace("]/", "/").removeprefix("[") if "]/" in entry else entry)
        if of_port and of_port != str(port):
            continue
        if address is not None:
            if address_of(name) == address or ("/" in name and _lies_in(address, name)):
                return True
            continue
        domain = name.removeprefix("*").strip(".")
        if domain and (host == domain or host.endswith(f".{domain}")):
            return True
    return False


def _lies_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
