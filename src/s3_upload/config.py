"""Every setting of an upload, in one frozen dataclass.

`UploadConfig` feeds the API, the command's flags, the environment and the documentation.  A setting
is written once, here: its default, its unit (the last part of its name, or its help text), its
range and the reason for its default are all in its `knob(...)`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from s3_upload.errors import ConfigError
from s3_upload.units import parse_bandwidth, parse_size, parse_time_s, show_size, show_time

AUTO = 0
"""Of a field for which the others say what suits them."""
MIB = 1 << 20
GIB = 1 << 30

if TYPE_CHECKING:

    class Size:
        """What type checkers are told of a field that counts bytes: it takes "16MiB" too, and is a number."""

        def __get__(self, config: object, owner: type | None = None) -> int: ...
        def __set__(self, config: object, value: int | str) -> None: ...

    class Seconds:
        """The same of seconds: "5m"."""

        def __get__(self, config: object, owner: type | None = None) -> float: ...
        def __set__(self, config: object, value: float | str) -> None: ...

else:
    Size, Seconds = int, float

MIN_PART_BYTES, MAX_USUAL_PART_BYTES, FEW_PARTS_BYTES = 5 * MIB, 16 * MIB, 100 * MIB


def usual_part_size(max_in_flight: int, max_in_flight_bytes: int, multipart_threshold: int) -> int:
    """The `part_size` that suits these settings.

    MIN_PART_BYTES: bodies are held in memory, and the smaller they are, the more of them are sent at once on
    a long, lossy route.  Where few requests are allowed that is no gain, but each waits a round trip for its
    answer: there they share FEW_PARTS_BYTES, or half of a smaller memory, as whole MiB, and have at most
    MAX_USUAL_PART_BYTES.
    """
    fits = min(FEW_PARTS_BYTES, max_in_flight_bytes // 2) // max_in_flight // MIB * MIB
    return max(MIN_PART_BYTES, min(fits, MAX_USUAL_PART_BYTES, multipart_threshold))


def knob(
    default: Any,
    help_text: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    parse: Callable[[str], object] | None = None,
    auto: bool = False,
) -> Any:
    """A field with its help text and its closed range [low, high], its choices, or what reads its text.
    `auto`: it may also be AUTO, which is replaced by what suits the other fields."""
    about = {"help": help_text, "low": low, "high": high, "choices": choices, "parse": parse, "auto": auto}
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class UploadConfig:
    """How to upload. All fields have defaults that suit an ordinary machine and S3 itself.

    Sizes may be texts ("16MiB", "100MB") and so may times ("5m", "1.5s"); they become numbers.
    Raises `ConfigError` (a `ValueError`), naming the field, the value and the range.
    """

    max_in_flight: int = knob(
        2_048,
        "At most this many requests at the same time, and no more than the limit on open files leaves. "
        "The window decides how many there are.",
        low=1,
        high=10_000,
    )
    window: Literal["adaptive", "fixed"] = knob(
        "adaptive",
        "adaptive: as many requests as goodput rises with; fixed: always max_in_flight.",
        choices=("adaptive", "fixed"),
    )
    timeout: Literal["adaptive", "origin"] = knob(
        "adaptive",
        "adaptive: three timers (connect, stall, response), and an outer bound of 300 s or more on each "
        "request; origin: one limit, from the upload speed.",
        choices=("adaptive", "origin"),
    )
    hedge: Literal["auto", "off"] = knob(
        "auto",
        "auto: a second copy of a small request that is slow to be answered, first success wins; off for "
        "stores where an object written twice is not as good as once.",
        choices=("auto", "off"),
    )
    max_in_flight_bytes: Size = knob(
        200 * MIB,
        "Bytes of bodies in memory, read ahead or being sent. Bounds the memory whatever the file sizes.",
        low=16 * MIB,
        high=64 * GIB,
    )
    n_retries: int = knob(8, "Tries after the first one before an object is given up.", low=0, high=100)
    timeout_fraction: float = knob(
        1.5,
        "With timeout origin a request may take this many times what its size and the speed estimate "
        "predict; with adaptive only the outer bound has it.",
        low=1.0,
        high=1_000,
    )
    backoff: float = knob(1.5, "Each retry multiplies the timeout by this.", low=1.0, high=10.0)
    min_timeout: Seconds = knob(
        0.5,
        "With timeout origin, seconds every request may take beyond the time its bytes need: round trips "
        "and service; with adaptive only the outer bound has them.",
        low=1e-3,
        high=600,
    )
    expected_upload_speed: float = knob(
        34.0,
        "MB/s (10^6 bytes) per request assumed before the first measurement, for timeout origin; with "
        "adaptive only the outer bound has it.",
        low=1e-3,
        high=1e5,
    )
    avg_power: float = knob(
        0.7,
        "Weight of the newest speed in the running average, for timeout origin; larger means quicker to "
        "follow. With adaptive only the outer bound has that average.",
        low=1e-3,
        high=1.0,
    )
    avg_min_bytes: Size = knob(
        1_000_000,
        "Smaller uploads say more of round trips than of bandwidth and leave the speed estimate alone.",
        low=1,
        high=5 * GIB,
    )
    connect_timeout_s: Seconds = knob(5.0, "Seconds one TCP and TLS handshake may take.", low=1e-3, high=600)
    max_outage_s: Seconds = knob(
        300.0,
        "How long the store may be away or say nothing (5m, 300), once the run has got somewhere; then the "
        "run ends. No tries are used up while it is away; 0: they are.",
        low=0.0,
        high=604_800,
    )
    grace_s: Seconds = knob(
        10.0,
        "How long a run that is interrupted or cancelled may still finish what is under way. Nothing new is "
        "begun; a second interruption ends it at once.",
        low=0.0,
        high=3_600,
    )
    multipart_threshold: Size = knob(16 * MIB, "Larger files go as multipart uploads.", low=1, high=5 * GIB)
    part_size: Size = knob(
        AUTO,
        "Bytes of one part (S3: at least 5 MiB); 0: 5 MiB, up to 16 MiB where max_in_flight is below 17. "
        "Grows where a file would need more than 10,000, and in the second half of a stream.",
        low=MIN_PART_BYTES,
        high=5 * GIB,
        auto=True,
    )
    if_exists: Literal["overwrite", "skip", "fail"] = knob(
        "overwrite",
        "What to do with a file whose object is there already. skip: nothing, and that is no failure; fail: "
        "it fails. Neither ever overwrites: the store is asked before a body is sent, and If-None-Match goes "
        "with it. S3 itself is not asked about files below 64 KiB: these are sent, and it "
        "refuses those that exist.",
        choices=("overwrite", "skip", "fail"),
    )
    source_check: Literal["version", "size"] = knob(
        "version",
        "How a file is known to be still the same while it is read. version: by its size, its times of "
        "modification and of change; size: by its size alone, for file systems that make times up.",
        choices=("version", "size"),
    )
    reader_threads: int = knob(4, "Threads that read and hash files.", low=1, high=256)
    share: Literal["full", "fair", "background"] = knob(
        "full",
        "How much of the link to take. full: all there is; fair: as much as one other bulk transfer; "
        "background: what nobody else wants.",
        choices=("full", "fair", "background"),
    )
    max_bandwidth: str = knob(
        "",
        "Never more than this: 20MB/s, 100Mbit/s. Or 80%, about so much of what the link carries, which is "
        "measured without this bound for 3 s at the beginning and every two minutes. Less than before counts "
        "only where the link had enough to do.",
        parse=parse_bandwidth,
    )
    pacing: Literal["auto", "application"] = knob(
        "auto",
        "Who keeps share and max_bandwidth. auto: the kernel, by packets, where it can (Linux); application: "
        "requests wait for their turn, which is coarser.",
        choices=("auto", "application"),
    )
    copy_parallelization: InitVar[int | None] = None

    def __post_init__(self, copy_parallelization: int | None) -> None:
        if copy_parallelization is not None:  # its name in the Rust crate that this began as
            object.__setattr__(self, "max_in_flight", copy_parallelization)
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if isinstance(value, str) and spec.type in _READS:
                try:
                    object.__setattr__(self, spec.name, _READS[spec.type](value))
                except ValueError as error:
                    raise ConfigError(f"{spec.name} = {value!r}: {error}") from None
                value = getattr(self, spec.name)
            if wrong := complaint(spec, value):
                raise ConfigError(f"{spec.name} = {value!r}: {wrong}")
        if self.part_size == AUTO:
            usual = usual_part_size(self.max_in_flight, self.max_in_flight_bytes, self.multipart_threshold)
            object.__setattr__(self, "part_size", usual)
        if self.multipart_threshold > self.max_in_flight_bytes:
            raise ConfigError(
                f"max_in_flight_bytes = {self.max_in_flight_bytes}: must be at least as large as "
                f"multipart_threshold ({self.multipart_threshold}), or no request could be sent"
            )


_READS: dict[object, Callable[[str], float]] = {"Size": parse_size, "Seconds": parse_time_s}
_SHOWS: dict[object, Callable[[Any], str]] = {"Size": show_size, "Seconds": show_time}


def _documented(spec: dataclasses.Field[Any]) -> str:
    """A field, its default and its help text, as `help(UploadConfig)` shows them."""
    shown = _SHOWS[spec.type](spec.default) if spec.type in _SHOWS else repr(spec.default)
    lines, line = [f"{spec.name} = {shown}"], ""
    for word in spec.metadata["help"].split():
        if len(line) + len(word) > 80:
            lines.append(line)
            line = ""
        line += f" {word}" if line else f"    {word}"
    return "\n    ".join((*lines, line))


def complaint(spec: dataclasses.Field[Any], value: object, show: Callable[[Any], str] = "{:,}".format) -> str:
    """What a field must be, as `value` is not; "" where it is. `show` spells the ends of its range."""
    choices = spec.metadata["choices"]
    if choices:
        return "" if value in choices else f"must be {' or '.join(map(repr, choices))}"
    if parse := spec.metadata["parse"]:
        if not isinstance(value, str):
            return "must be a text, such as '20MB/s'"
        try:
            parse(value)
        except ValueError as error:
            return str(error)
        return ""
    low, high, auto = (spec.metadata[name] for name in ("low", "high", "auto"))
    whole = spec.type in {"int", "Size"}
    wanted = "a whole number" if whole else "a number"
    allowed: tuple[type, ...] = (int,) if whole else (int, float)
    if isinstance(value, allowed) and not isinstance(value, bool):
        assert isinstance(value, int | float)
        if low <= value <= high or (auto and value == AUTO):
            return ""
    return f"must be {wanted} from {show(low)} to {show(high)}{f', or {AUTO}' if auto else ''}"


assert UploadConfig.__doc__ is not None
UploadConfig.__doc__ += "\n    ".join(("", *map(_documented, dataclasses.fields(UploadConfig))))
