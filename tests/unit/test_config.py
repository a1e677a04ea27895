"""`UploadConfig`: every knob takes its whole range and nothing else, and says so."""

from __future__ import annotations

import dataclasses
import inspect
import math
import pickle
from typing import Any, get_args, get_type_hints

import pytest

from s3_upload.config import AUTO, GIB, MIB, UploadConfig
from s3_upload.errors import ConfigError, S3UploadError

KNOBS = dataclasses.fields(UploadConfig)
SIZES = [spec for spec in KNOBS if spec.type == "Size"]
TIMES = [spec for spec in KNOBS if spec.type == "Seconds"]
WHOLE = [spec for spec in KNOBS if spec.type == "int"] + SIZES
REAL = [spec for spec in KNOBS if spec.type == "float"] + TIMES
NUMBERS = [*WHOLE, *REAL]
CHOICES = [spec for spec in KNOBS if spec.metadata["choices"]]
TEXTS = [spec for spec in KNOBS if spec.metadata["parse"]]
Knob = dataclasses.Field[Any]


def knobs(specs: tuple[Knob, ...] | list[Knob] = KNOBS) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("spec", specs, ids=lambda spec: spec.name)


def config(**values: object) -> UploadConfig:
    """With as much memory as allowed, so that only the knob in question can be wrong."""
    return UploadConfig(**{"max_in_flight_bytes": 64 * GIB, **values})  # type: ignore[arg-type]


def refusal(spec: Knob, value: object) -> str:
    with pytest.raises(ConfigError) as caught:
        config(**{spec.name: value})
    return str(caught.value)


def test_the_defaults_are_valid_and_every_knob_has_a_range_or_choices_and_help() -> None:
    UploadConfig()
    assert len(NUMBERS) + len(CHOICES) + len(TEXTS) == len(KNOBS) > 10
    assert [spec.name for spec in CHOICES] == [
        "window",
        "timeout",
        "hedge",
        "if_exists",
        "source_check",
        "share",
        "pacing",
    ]
    assert [spec.name for spec in TEXTS] == ["max_bandwidth"]
    for spec in KNOBS:
        assert spec.metadata["help"].endswith(".")
    for spec in NUMBERS:
        low, high = spec.metadata["low"], spec.metadata["high"]
        assert math.isfinite(low), spec.name
        assert math.isfinite(high), spec.name
        assert low <= spec.default <= high or (spec.metadata["auto"] and spec.default == AUTO)


@knobs(CHOICES)
def test_every_choice_is_allowed_and_the_types_say_the_same(spec: Knob) -> None:
    choices = spec.metadata["choices"]
    assert spec.default == choices[0]
    assert get_args(get_type_hints(UploadConfig)[spec.name]) == choices
    for choice in choices:
        assert getattr(config(**{spec.name: choice}), spec.name) == choice


@pytest.mark.parametrize(
    "value", ["", "Adaptive", "adaptive ", "off,auto", None, True, 1, ["auto"]], ids=repr
)
@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("window", "'adaptive' or 'fixed'"),
        ("timeout", "'adaptive' or 'origin'"),
        ("hedge", "'auto' or 'off'"),
        ("share", "'full' or 'fair' or 'background'"),
        ("pacing", "'auto' or 'application'"),
    ],
)
def test_what_is_no_choice_is_refused_with_field_value_and_choices(
    name: str, choices: str, value: object
) -> None:
    [spec] = [spec for spec in CHOICES if spec.name == name]
    assert refusal(spec, value) == f"{name} = {value!r}: must be {choices}"


@pytest.mark.parametrize(
    ("settings", "mib"),
    [
        ({}, 5),
        ({"max_in_flight": 19}, 5),
        ({"max_in_flight": 16}, 6),
        ({"max_in_flight": 10}, 10),
        ({"max_in_flight": 2}, 16),
        ({"max_in_flight": 2, "multipart_threshold": 8 * MIB}, 8),
        ({"max_in_flight": 2, "multipart_threshold": 1}, 5),
        ({"max_in_flight": 2, "max_in_flight_bytes": 32 * MIB}, 8),
        ({"max_in_flight": 2, "part_size": 5 * MIB}, 5),
        ({"max_in_flight": 2, "part_size": 64 * MIB}, 64),
    ],
    ids=repr,
)
def test_few_requests_get_larger_parts_unless_told_otherwise(settings: dict[str, int], mib: int) -> None:
    assert config(**settings).part_size == mib * MIB


@knobs(NUMBERS)
def test_both_ends_of_the_range_are_allowed(spec: Knob) -> None:
    companions = (
        {} if spec.name != "max_in_flight_bytes" else {"part_size": 5 * MIB, "multipart_threshold": 1}
    )
    for end in ("low", "high"):
        value = spec.metadata[end]
        assert getattr(config(**{**companions, spec.name: value}), spec.name) == value


@knobs(NUMBERS)
@pytest.mark.parametrize(("end", "step"), [("low", -1), ("high", 1)])
def test_beyond_the_range_is_refused_with_field_value_and_range(spec: Knob, end: str, step: int) -> None:
    value = spec.metadata[end] + step
    message = refusal(spec, value)
    wanted = "a whole number" if spec in WHOLE else "a number"
    low, high = spec.metadata["low"], spec.metadata["high"]
    auto = ", or 0" if spec.metadata["auto"] else ""
    assert message == f"{spec.name} = {value!r}: must be {wanted} from {low:,} to {high:,}{auto}"


@knobs()
@pytest.mark.parametrize("value", ["8", None, True, False, [], 1j, math.nan, math.inf, -math.inf], ids=repr)
def test_what_is_no_such_number_is_refused(spec: Knob, value: object) -> None:
    if value == "8" and spec in (*SIZES, *TIMES):
        value = "eight"
        assert refusal(spec, value).startswith(f"{spec.name} = 'eight': eight is no ")
        return
    assert refusal(spec, value).startswith(f"{spec.name} = {value!r}: must be ")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_in_flight_bytes", "1GiB", GIB),
        ("multipart_threshold", "8MB", 8_000_000),
        ("part_size", "16MiB", 16 * MIB),
        ("part_size", "0", 5 * MIB),
        ("max_outage_s", "5m", 300.0),
        ("connect_timeout_s", "500ms", 0.5),
        ("min_timeout", "2", 2.0),
    ],
)
def test_sizes_and_times_may_be_texts_and_become_numbers(name: str, text: str, value: float) -> None:
    found = getattr(UploadConfig(**{name: text}), name)  # type: ignore[arg-type]
    assert (found, type(found)) == (value, type(value))


def test_a_text_beyond_the_range_is_refused_as_the_number_is() -> None:
    [spec] = [spec for spec in KNOBS if spec.name == "part_size"]
    assert (
        refusal(spec, "1MiB")
        == "part_size = 1048576: must be a whole number from 5,242,880 to 5,368,709,120, or 0"
    )


def test_help_shows_every_field_with_its_default_and_help_text() -> None:
    shown = " ".join(inspect.getdoc(UploadConfig).split())  # type: ignore[union-attr]
    for spec in KNOBS:
        assert f" {spec.name} = " in shown
        assert spec.metadata["help"] in shown
    assert " max_in_flight_bytes = 200MiB " in shown
    assert " max_outage_s = 5m " in shown


@knobs(WHOLE)
def test_a_fraction_is_no_whole_number(spec: Knob) -> None:
    assert "must be a whole number" in refusal(spec, float(spec.metadata["high"]))


@knobs(REAL)
def test_a_whole_number_is_a_number(spec: Knob) -> None:
    value = math.ceil(spec.metadata["low"])
    assert getattr(config(**{spec.name: value}), spec.name) == value


@pytest.mark.parametrize("value", [20, 20e6, None, b"20MB/s"], ids=repr)
def test_a_bandwidth_that_is_no_text_is_refused_with_one_that_is(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^max_bandwidth = .*: must be a text, such as '20MB/s'$"):
        UploadConfig(max_bandwidth=value)


def test_a_config_error_is_a_value_error_and_one_of_ours() -> None:
    with pytest.raises(ValueError, match="backoff") as caught:
        UploadConfig(backoff=0.5)
    assert isinstance(caught.value, S3UploadError)
    assert "\n" not in str(caught.value)


def test_the_memory_must_hold_what_goes_in_one_request() -> None:
    fits: dict[str, Any] = {"multipart_threshold": 20 * MIB, "max_in_flight_bytes": 20 * MIB}
    assert UploadConfig(**fits).multipart_threshold == 20 * MIB
    with pytest.raises(ConfigError) as caught:
        UploadConfig(**{**fits, "multipart_threshold": 20 * MIB + 1})
    for said in ("max_in_flight_bytes = 20971520:", "multipart_threshold", "20971521"):
        assert said in str(caught.value)


def test_parts_may_be_larger_than_the_memory() -> None:
    """They go in slices, or wait on the disk."""
    assert UploadConfig(part_size=5 * GIB, max_in_flight_bytes=16 * MIB).part_size == 5 * GIB


def test_copy_parallelization_is_the_other_name_of_max_in_flight() -> None:
    assert UploadConfig(copy_parallelization=7) == UploadConfig(max_in_flight=7)
    assert UploadConfig(copy_parallelization=7, max_in_flight=3).max_in_flight == 7
    for value in (0, 10_001, "7", True):
        with pytest.raises(ConfigError, match="max_in_flight"):
            UploadConfig(copy_parallelization=value)  # type: ignore[arg-type]


def test_replace_keeps_the_other_values() -> None:
    changed = {"copy_parallelization": 7, "backoff": 2.0, "n_retries": 3, "part_size": 6 * MIB}
    before = UploadConfig(**changed)  # type: ignore[arg-type]
    after = dataclasses.replace(before, n_retries=4)
    assert (after.max_in_flight, after.backoff, after.part_size, after.n_retries) == (7, 2.0, 6 * MIB, 4)
    assert dataclasses.replace(after, n_retries=3) == before
    with pytest.raises(ConfigError, match="n_retries = -1"):
        dataclasses.replace(before, n_retries=-1)


def test_frozen_hashable_and_picklable() -> None:
    one = UploadConfig(max_in_flight=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.max_in_flight = 6  # type: ignore[misc]
    assert {one, UploadConfig(max_in_flight=5)} == {one}
    assert pickle.loads(pickle.dumps(one)) == one
