"""Which way leads to a store: straight, or through the proxy that the rules name for it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from s3_upload.http1.connect import Connector
from s3_upload.http1.pool import Pool
from s3_upload.http1.resolve import LookUp
from s3_upload.http1.tls import tls_context
from s3_upload.proxy import Proxy, ProxyRules

if TYPE_CHECKING:
    from s3_upload.http1.dial import Way


ASKS_FOR_LOGIN = (401, 407)
"""What proxies answer for want of a login, the first against the rules (tinyproxy, to one that is wrong)."""


class Routes:
    """The ways of one client. `tls` is None for a store over plain http.

    An https:// proxy has to show a certificate that is trusted as the store's has to be, by `verify`; but
    `verify` False is about the store alone, as curl's --insecure is: the proxy is told a password.
    """

    def __init__(
        self, rules: ProxyRules, *, tls: ssl.SSLContext | None, verify: bool | str, look_up: LookUp | None
    ) -> None:
        self._rules = rules
        self._tls = tls
        self._verify = verify or True
        self._look_up = look_up
        self._proxy_tls: ssl.SSLContext | None = None

    def proxy(self, host: str, port: int) -> Proxy | None:
        """The proxy on the way to a store. Raises `ConfigError` where its URL is none, or needs what is not
        installed."""
        found = self._rules.proxy_for("http" if self._tls is None else "https", host, port)
        if found is not None and found.is_socks:
            from s3_upload.http1.tunnel import socks_library

            socks_library(found)
        return found

    def pool(self, host: str, port: int, proxy: Proxy | None) -> Pool:
        """Connections to the store, for the running loop."""
        loop = asyncio.get_running_loop()
        way = self._through(proxy, host, port, loop) if proxy is not None else None
        connector = Connector(host=host, port=port, tls=self._tls, loop=loop, look_up=self._look_up, way=way)
        return Pool(connector, loop)

    def _through(self, proxy: Proxy, host: str, port: int, loop: asyncio.AbstractEventLoop) -> Way:
        from s3_upload.http1.tunnel import Connected, Forwarded, Socks

        if proxy.is_socks:
            return Socks(proxy, host=host, port=port, tls=self._tls, loop=loop, look_up=self._look_up)
        if proxy.scheme == "https" and self._proxy_tls is None:
            self._proxy_tls = tls_context(self._verify)
        proxy_tls = self._proxy_tls if proxy.scheme == "https" else None
        if self._tls is None:
            return Forwarded(proxy, proxy_tls, loop)
        return Connected(proxy, proxy_tls, host=host, port=port, tls=self._tls, loop=loop)

    def remark(self, host: str, port: int, status: int, code: str) -> str:
        """What may explain an answer: that it comes from a proxy that reads requests."""
        proxy = self.proxy(host, port)
        if proxy is None or code or not forwards(proxy, tls=self._tls is not None):
            return ""
        from s3_upload.http1.tunnel import named, unauthorized

        if status in ASKS_FOR_LOGIN:
            return unauthorized(proxy)
        return f"which may be the words of {named(proxy)}"

    def way(self, host: str, port: int) -> str:
        """For the end of what is said of an answer that is no store's: it may be that proxy's."""
        proxy = self.proxy(host, port)
        if proxy is None or not forwards(proxy, tls=self._tls is not None):
            return ""
        from s3_upload.http1.tunnel import named

        return f"; the way leads through {named(proxy)}"


def forwards(proxy: Proxy | None, *, tls: bool) -> bool:
    """Whether the proxy reads the requests themselves, and each has to name the store."""
    return proxy is not None and not tls and not proxy.is_socks
