"""Certificates: trusted when told to, named when not."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import CloudUnavailable
from fairlead_lab.fakes import FakeCloud


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fairlead test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "ca.pem"
    pem.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem


@pytest.fixture
async def secure_cloud(certificate: Path) -> AsyncIterator[FakeCloud]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with FakeCloud(tls=context) as cloud:
        yield cloud


async def test_a_certificate_of_cacert_is_trusted(secure_cloud: FakeCloud, certificate: Path) -> None:
    async with NeutronService(replace(secure_cloud.credentials(), cacert=str(certificate))) as neutron:
        assert await neutron.find_networks() == []


async def test_a_client_that_has_a_certificate_of_its_own_shows_it(certificate: Path) -> None:
    asks_for_one = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    asks_for_one.load_cert_chain(certificate)
    asks_for_one.verify_mode = ssl.CERT_REQUIRED
    async with FakeCloud(tls=asks_for_one) as cloud:
        config = replace(cloud.credentials(), cacert=str(certificate), cert=str(certificate))
        async with NeutronService(config) as neutron:
            assert await neutron.find_networks() == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_any_certificate_is_trusted_where_the_operator_says_so(secure_cloud: FakeCloud) -> None:
    async with NeutronService(replace(secure_cloud.credentials(), verify=False)) as neutron:
        assert await neutron.find_networks() == []


async def test_a_certificate_of_keystones_that_is_not_trusted_is_named(secure_cloud: FakeCloud) -> None:
    async with NeutronService(secure_cloud.credentials()) as neutron:
        with pytest.raises(CloudUnavailable, match=r"certificate of Keystone at https://.*: set cacert"):
            await neutron.find_networks()


async def test_a_certificate_of_neutrons_that_is_not_trusted_is_named(secure_cloud: FakeCloud) -> None:
    async with FakeCloud() as cloud:
        cloud.identity.catalogue["network"] = secure_cloud.identity.catalogue["network"]
        async with NeutronService(cloud.credentials()) as neutron:
            with pytest.raises(
                CloudUnavailable, match=r"certificate of Neutron at https://.* is not trusted: set cacert"
            ):
                await neutron.find_networks()
