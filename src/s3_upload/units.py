"""Sizes, rates and times as people write them."""

from __future__ import annotations

import re

import msgspec

# Compiled where they are needed: at most a few are.
_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b)?"
_EXPONENT = {"k": 1, "m": 2, "g": 3, "t": 4}
_NUMBER = r"\d+(?:\.\d+)?"
_PERCENT = r"(\d+(?:\.\d+)?)\s*%"
_BITS = r"(?i)(\d+(?:\.\d+)?)\s*([kmgt]?)bit/s"
_TIME = r"(?i)(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|min|h|d)?"
SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
MIN_BYTES_PER_S = 16_000
"""Below that a handful of connections could not all be kept from their server's timeouts."""
NO_BANDWIDTH = "must be a bandwidth such as 20MB/s, 100Mbit/s or 80%"


class Bandwidth(msgspec.Struct, frozen=True):
    """A bound on the upload: `bytes_per_s`, or where that is 0 a `share` of what the link turns out to
    carry."""

    bytes_per_s: float = 0.0
    share: float = 0.0


def parse_size(text: str) -> int:
    """Bytes: "8MiB" (2^20), "16MB" (10^6), "1000000". "8M" is 8 MB. Raises `ValueError`."""
    match = re.fullmatch(_SIZE, text.strip())
    if match is None:
        raise ValueError(f"{text} is no size: give bytes, or a number and kB, MB, GB, KiB, MiB or GiB")
    number, letter, binary = match.groups()
    factor = (1024 if binary else 1000) ** _EXPONENT[letter.lower()] if letter else 1
    return round(float(number) * factor) if "." in number else int(number) * factor


def show_size(size: int) -> str:
    """The shortest exact spelling that `parse_size` reads: 8388608 is 8MiB, 1000000 is 1MB."""
    for unit, factor in (
        ("GiB", 1 << 30),
        ("GB", 10**9),
        ("MiB", 1 << 20),
        ("MB", 10**6),
        ("KiB", 1 << 10),
        ("kB", 1000),
    ):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def show_bytes(count: int) -> str:
    """A size for people, in powers of 1000."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def show_rate(bytes_per_s: float, decimals: int = 1) -> str:
    """ "27.3 MB/s", "85 kB/s", "850 B/s": MB as far as they tell anything, so that rates compare."""
    if bytes_per_s >= 99_500.0:
        return f"{bytes_per_s / 1e6:,.{decimals}f} MB/s"
    return f"{bytes_per_s / 1e3:.0f} kB/s" if bytes_per_s >= 999.5 else f"{bytes_per_s:.0f} B/s"


def parse_time_s(text: str) -> float:
    """Seconds: "300", "1.5s", "5m", "2h". Raises `ValueError`."""
    match = re.fullmatch(_TIME, text.strip())
    if match is None:
        raise ValueError(f"{text} is no time: give seconds, or a number and ms, s, m, h or d")
    return float(match[1]) * SECONDS[(match[2] or "s").lower()]


def show_time(seconds: float) -> str:
    """The shortest exact spelling that `parse_time_s` reads: 300 is 5m, 90 is 90s."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % SECONDS[unit] == 0.0:
            return f"{seconds / SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"


def parse_bandwidth(text: str) -> Bandwidth | None:
    """From "20MB/s", "500kB/s", "100Mbit/s" or "80%"; None from "". Raises
    `ValueError`, saying what it must be."""
    text = text.strip()
    if not text:
        return None
    if match := re.fullmatch(_PERCENT, text):
        share = float(match[1]) / 100
        if not 0.01 <= share <= 1.0:
            raise ValueError("must be from 1% to 100%")
        return Bandwidth(share=share)
    if match := re.fullmatch(_BITS, text):
        factor = 1000 ** _EXPONENT[match[2].lower()] if match[2] else 1
        bytes_per_s = float(match[1]) * factor / 8
    else:
        try:
            bytes_per_s = float(parse_size(text.removesuffix("/s")))
        except ValueError:
            raise ValueError(NO_BANDWIDTH) from None
    if bytes_per_s < MIN_BYTES_PER_S:
        # As Mbit/s, which are the fewer, it would be enough.
        if re.fullmatch(_NUMBER, text) and float(text) * 1e6 / 8 >= MIN_BYTES_PER_S:
            raise ValueError(f"must be a bandwidth with its unit: {text}MB/s or {text}Mbit/s")
        raise ValueError(f"must be at least {MIN_BYTES_PER_S // 1000}kB/s")
    return Bandwidth(bytes_per_s=bytes_per_s)
