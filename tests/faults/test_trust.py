"""Whose certificate is taken, through whichever CAs the machine names."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from s3_upload import ConfigError, ObjectSource, PayloadSigning, S3Client
from s3_upload.http1.tls import tls_context
from tests.faults.uploads import PART_BYTES, stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer, Tls


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_variable_names_whom_to_trust(
    fault_server: StartFaultServer, tls: Tls, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tls.ca_file))
    server = fault_server(tls=tls.server_context)
    assert upload(server, {"a": b"a"}).uploaded == 1


def test_a_bundle_that_nothing_needs_is_not_looked_at(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such.pem")
    assert upload(fault_server(), {"a": b"a"}).uploaded == 1
    monkeypatch.setenv("HTTP_PROXY", "https://proxy.internal")
    with pytest.raises(ConfigError, match=r"CA bundle '/no/such.pem'"):
        S3Client(endpoint_url="http://localhost")


def test_a_name_with_a_dot_at_its_end_is_the_one_in_the_certificate(
    fault_server: StartFaultServer, tls: Tls
) -> None:
    async def look_up(host: str, port: int) -> list[str]:
        assert host == "store.internal."
        return ["127.0.0.1"]

    server = fault_server(tls=tls.server_context)
    url = f"https://store.internal.:{server.port}"
    upload(
        server, {"a": b"a"}, tls={"verify": str(tls.ca_file), "endpoint_url": url, "look_up": look_up}
    ).raise_for_failures()
    assert stored(server) == {"a": b"a"}
    assert server.requests[0].headers["host"] == f"store.internal.:{server.port}"


class Frugal:
    """A CA as companies make them: its certificates have no key identifiers, which RFC 5280 wants."""

    def __init__(self, folder: Path) -> None:
        key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A company's CA")])
        server_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")])
        is_ca = x509.BasicConstraints(ca=True, path_length=None)
        own = self._builder(name, name, key).add_extension(is_ca, critical=False).sign(key, hashes.SHA256())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        issued = self._builder(server_name, name, server_key).add_extension(names, critical=False)
        self.ca_file, chain = folder / "ca.pem", folder / "server.pem"
        self.ca_file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        chain.write_bytes(
            issued.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + server_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_context.load_cert_chain(chain)

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )


def test_a_private_ca_that_is_no_model_of_its_kind_is_taken(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """Python 3.13 would refuse it; botocore does not."""
    frugal = Frugal(tmp_path)
    server = fault_server(tls=frugal.server_context)
    assert upload(server, {"a": b"a"}, tls={"verify": str(frugal.ca_file)}).uploaded == 1
    assert not tls_context(str(frugal.ca_file)).verify_flags & ssl.VERIFY_X509_STRICT


def test_where_the_system_has_no_cas_those_that_botocore_brings_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert ssl.create_default_context().get_ca_certs() == []
    assert len(tls_context(verify=True).get_ca_certs()) > 50


@pytest.mark.parametrize("over", ["http", "https"])
@pytest.mark.parametrize("signing", ["auto", "always", "never"])
def test_the_hash_of_a_body_is_signed_where_it_is_asked_for(
    fault_server: StartFaultServer, tls: Tls, tmp_path: Path, over: str, signing: PayloadSigning
) -> None:
    server = fault_server(tls=tls.server_context if over == "https" else None)
    bodies = {"small": b"small", "big": bytes(PART_BYTES + 1)}
    (tmp_path / "big").write_bytes(bodies["big"])
    files = [ObjectSource.data(b"small", "small"), ObjectSource.file(tmp_path / "big", "big")]
    verify: Any = str(tls.ca_file) if over == "https" else True
    upload(server, files, tls={"verify": verify, "payload_signing": signing}).raise_for_failures()
    assert stored(server) == bodies
    signed = signing == "always" or (signing == "auto" and over == "http")
    sent = [request for request in server.requests if request.method == "PUT"]
    for request in sent:
        hashed = sha256(request.body).hexdigest() if signed else "UNSIGNED-PAYLOAD"
        assert request.headers["x-amz-content-sha256"] == hashed
        assert "x-amz-checksum-crc32" in request.headers
    assert len(sent) == 3


def test_another_payload_signing_is_refused() -> None:
    with pytest.raises(ConfigError, match="payload_signing = 'often': must be one of auto, always, never"):
        S3Client(region="us-east-1", payload_signing="often")  # type: ignore[arg-type]


def test_a_profile_has_bodies_signed_over_https_too(
    fault_server: StartFaultServer, tls: Tls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[default]\nsdk_ua_app_id = my app%\ns3 =\n    payload_signing_enabled = true\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    server = fault_server(tls=tls.server_context)
    bodies = {"small": b"small", "big": bytes(PART_BYTES + 1)}
    (tmp_path / "big").write_bytes(bodies["big"])
    files = [ObjectSource.data(b"small", "small"), ObjectSource.file(tmp_path / "big", "big")]
    upload(server, files, tls={"verify": str(tls.ca_file)}).raise_for_failures()
    assert stored(server) == bodies
    for request in server.requests:
        assert request.headers["x-amz-content-sha256"] == sha256(request.body).hexdigest()
        assert request.headers["user-agent"] == "s3-upload app/my-app%"
