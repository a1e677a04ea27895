"""Hosts and URLs as people write them: what is one, and how it is shown. Pure."""

from __future__ import annotations

import ipaddress
import re

_SCHEME = r"^(\s*[A-Za-z][A-Za-z0-9+.-]*://)?+"
_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")


def shown(url: str) -> str:
    """`url` without what may be secret: user and password, query, fragment."""
    # A password may hold "#" or "?" though it should not: what begins there is no query.
    url = re.sub(rf"{_SCHEME}[^/]*@", r"\1***@", url, count=1)
    # With a "/", too: whether a ":" begins a password or a port, and where it ends, is anybody's guess.
    url = re.sub(rf"{_SCHEME}[^/?#@]*:[^?#]*[?#][^@]*@.*", r"\1***", url, flags=re.DOTALL)
    url = re.sub(r"[?#].*", "?…", url, flags=re.DOTALL)
    return re.sub(rf"{_SCHEME}.*@", r"\1***@", url, flags=re.DOTALL)[:200]


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None of a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_ip(host: str) -> bool:
    """Whether `host` is an address and no name."""
    return address_of(host) is not None


def is_host(host: str) -> bool:
    """Whether `host` can be a name or an address; an IPv6 address without its brackets."""
    if ":" in host:  # an IPv6 literal; a zone (%eth0) has no place in a Host header
        return "%" not in host and is_ip(host)
    return len(host) <= 253 and _HOST.fullmatch(host) is not None
