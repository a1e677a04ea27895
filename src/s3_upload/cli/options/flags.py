"""Every flag of an upload, as help and completion need it: made from the dataclasses of the options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    import dataclasses
    from collections.abc import Iterator

    from cyclopts import Parameter

_METAVARS = {
    "rules": "GLOB",
    "ignore_file": "NAME",
    "shard": "K/N",
    "order": "BY[,desc]",
    "files_from": "FILE|-",
    **dict.fromkeys(("min_size", "max_size"), "SIZE"),
    **dict.fromkeys(("newer_than", "older_than"), "AGE|DATE"),
    **dict.fromkeys(("endpoint_url", "proxy"), "URL"),
    "embedded": "DIR",
    **dict.fromkeys(
        ("report", "journal", "failed_to", "content_type_map", "exclude_from", "manifest"), "FILE"
    ),
    "max_bandwidth": "RATE",
    "processes": "N|auto",
    "cluster": "ADDRESS|local:N",
    **dict.fromkeys(("metadata", "tags", "sse_kms_encryption_context"), "K=V,K=V"),
    "grants": "GRANT...",
    "expected_size": "SIZE",
    **dict.fromkeys(("client_cert", "client_key", "ca_bundle"), "FILE"),
    **dict.fromkeys(("region", "profile", "storage_class", "acl"), "NAME"),
    **dict.fromkeys(("expires", "object_lock_retain_until_date"), "TIME"),
}


class Flag(NamedTuple):
    """One flag, as help and completion need it. `metavar`: "" for one without a value."""

    topic: str
    field: str
    names: tuple[str, ...]
    metavar: str
    choices: tuple[str, ...]
    text: str
    default: str
    variables: tuple[str, ...]


def all_flags() -> Iterator[Flag]:
    """Of all topics, in their order."""
    import dataclasses

    from s3_upload.cli.options.upload import UploadOptions

    hints = get_type_hints(UploadOptions, include_extras=True)
    for spec in dataclasses.fields(UploadOptions):
        kind, parameter = get_args(hints[spec.name])
        if dataclasses.is_dataclass(kind):
            inner = get_type_hints(kind, include_extras=True)
            for field in dataclasses.fields(kind):
                yield _flag(spec.name, field, inner[field.name])
        else:
            yield _flag(parameter.group[0].lower(), spec, hints[spec.name])


def _flag(topic: str, spec: dataclasses.Field[Any], hint: Any) -> Flag:
    kind, parameter = get_args(hint)
    names = (*(parameter.name or (f"--{spec.name.replace('_', '-')}",)), *(parameter.negative or ()))
    choices = _choices(kind)
    return Flag(
        topic=topic,
        field=spec.name,
        names=names,
        metavar="" if kind is bool else _metavar(spec, kind, choices),
        choices=choices,
        text=parameter.help or "",
        default=_default(spec, parameter),
        variables=tuple(parameter.env_var or ()),
    )


def _choices(kind: Any) -> tuple[str, ...]:
    for part in (kind, *get_args(kind)):
        if get_origin(part) is Literal:
            return tuple(map(str, get_args(part)))
    return ()


def _metavar(spec: dataclasses.Field[Any], kind: Any, choices: tuple[str, ...]) -> str:
    if choices:
        return "|".join(choices)
    if spec.name in _METAVARS:
        return _METAVARS[spec.name]
    if spec.name.endswith("_s"):
        return "TIME"
    if (kind is int and "bytes" in spec.name) or spec.name in {"part_size", "multipart_threshold"}:
        return "SIZE"
    return "N" if kind in {int, float} else "TEXT"


def _default(spec: dataclasses.Field[Any], parameter: Parameter) -> str:
    """That of a tuning flag; the others say theirs in their text."""
    if parameter.show_default is False or spec.default in {"", None, False}:
        return ""
    return parameter.show_default(spec.default) if callable(parameter.show_default) else str(spec.default)
