"""Whom TLS trusts, and what it shows of us: the settings of a client as an `ssl.SSLContext`.

Everything that is wrong with a file is said when the client is made, in one line that names the file
and quotes nothing of it.  What a store does not like about a certificate comes as an alert: during
the handshake or, with TLS 1.3, in place of the first answer.
"""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from pathlib import Path

from s3_upload.checks import wrong_type
from s3_upload.errors import ConfigError, FailureKind

ClientCertificate = str | tuple[str, str]
"""A PEM file with a certificate and its key, or one of each."""

_OF_OUR_CERTIFICATE = r"ALERT_.*(CERTIFICATE|UNKNOWN_CA)"


def tls_context(verify: bool | str, certificate: ClientCertificate | None = None) -> ssl.SSLContext:
    """`verify`: True for the system's trusted certificates, or where it has none botocore's; the path of a CA
    bundle; or False for none.

    Raises `ConfigError` for a file that cannot be used.
    """
    context = _trusting(verify)
    if certificate is not None:
        _load(context, *((certificate, None) if isinstance(certificate, str) else certificate))
    return context


def check_certificate(certificate: object) -> None:
    """Raises `TypeError` for what cannot be one."""
    names = certificate if isinstance(certificate, tuple) else (certificate,) * 2
    if certificate is not None and (len(names) != 2 or not all(isinstance(name, str) for name in names)):
        raise wrong_type("client_certificate", certificate, "a path, a tuple of two paths, or None")


def tls_failure(error: ssl.SSLError, kind: FailureKind, what: str) -> tuple[FailureKind, str]:
    """What broke a connection, `kind` unless the store refused what it was shown; `what` broke."""
    reason = error.reason or "TLS failed"
    if re.search(_OF_OUR_CERTIFICATE, reason):
        text = "the store wants a client certificate that it trusts (client_certificate, --client-cert)"
        return FailureKind.CERTIFICATE, f"{text}: {reason}"
    return kind, f"{what}: {reason}"


def server_name(host: str) -> str:
    """What a certificate names of `host`: no certificate has the dot at the end of a name that is whole."""
    return host.removesuffix(".")


def _trusting(verify: bool | str) -> ssl.SSLContext:
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = verify if isinstance(verify, str) else _instead_of_the_systems()
    is_dir = bundle is not None and os.path.isdir(bundle)  # noqa: PTH112 - a Path raises where it may not look
    try:
        context = ssl.create_default_context(
            cafile=None if is_dir else bundle, capath=bundle if is_dir else None
        )
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"CA bundle {bundle!r}: no PEM certificates can be read from it") from error
    # Python 3.13 sets it by default, and refuses many a company's CA (for want of a key identifier, say)
    # that every other tool takes, botocore among them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _instead_of_the_systems() -> str | None:
    """The CAs that botocore would take, where the system has none (a slim image); None where it has some."""
    system = ssl.get_default_verify_paths()  # says None of what is not there
    with suppress(OSError):
        if system.cafile is not None or (system.capath is not None and list(Path(system.capath).iterdir())):
            return None
    if os.name != "posix":  # others keep theirs elsewhere
        return None
    with suppress(ImportError):
        import certifi  # type: ignore[import-not-found, unused-ignore]

        return str(certifi.where())
    with suppress(ImportError):
        import botocore

        bundle = Path(botocore.__file__).with_name("cacert.pem")
        return str(bundle) if bundle.is_file() else None
    return None


def _load(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    def encrypted() -> str:
        # Else OpenSSL would ask on the terminal, and wait.
        raise ConfigError(f"client key {key or certificate!r}: is encrypted; give one that is not")

    for what, path in (("certificate", certificate), ("key", key)):
        if path is not None and not os.path.isfile(path):  # noqa: PTH113 - a Path raises where it may not look
            raise ConfigError(f"client {what} {path!r}: there is no such file")
    try:
        context.load_cert_chain(certificate, key, encrypted)
    except ssl.SSLError as error:
        where = repr(certificate) if key is None else f"{certificate!r} with key {key!r}"
        why = {
            "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
            "KEY_TYPE_MISMATCH": "the key belongs to another certificate",
        }.get(error.reason or "", "no PEM certificate and private key can be read from it")
        raise ConfigError(f"client certificate {where}: {why}") from error
    except OSError as error:
        raise ConfigError(f"client certificate {certificate!r}: {error.strerror}") from error
