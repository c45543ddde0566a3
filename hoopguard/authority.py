"""The gateway's own certificate authority: made for the policy's model hosts, and able to speak for nothing else.

mitmproxy reads ``<folder>/mitmproxy-ca.pem`` and signs a certificate for each host that a caller opens through
``HTTPS_PROXY``. Whoever trusts this CA trusts the gateway; X.509 name constraints (RFC 5280 §4.2.1.10, critical) keep
that trust to the hosts of the policy's connections.
"""

import os
import ssl
import stat
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY_FILE: Final = "mitmproxy-ca.pem"
CERT_FILE: Final = "mitmproxy-ca-cert.pem"
BUNDLE_FILE: Final = "hoopguard-bundle.pem"
DHPARAM_FILE: Final = "mitmproxy-dhparam.pem"
NO_HOST: Final = "no-connection-has-hosts.invalid"
"""What a CA for no hosts permits: a name that RFC 2606 promises will never exist."""

_EVERY_ADDRESS: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_CLOCK_LEEWAY: Final = timedelta(days=2)
_SYSTEM_ROOTS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_REMAKE: Final = "run: hoopguard certs init --force, and trust the new CA"


class AuthorityError(ValueError):
    """The CA cannot be made or used; ``hint`` says what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA's public side: who it is, until when, and for which hosts it may speak."""

    cert: x509.Certificate
    not_after: datetime
    permitted_hosts: tuple[str, ...]
    fingerprint: str

    @classmethod
    def of(cls, cert: x509.Certificate) -> "Authority":
        """Read a CA certificate.

        Raises:
            ValueError: it is no CA, or its name constraints are missing or not critical.
        """
        fingerprint = cert.fingerprint(hashes.SHA256()).hex(":").upper()
        return cls(cert, cert.not_valid_after_utc, _permitted_hosts(cert), fingerprint)


def new_authority(hosts: Sequence[str], now: datetime, days: int) -> tuple[ec.EllipticCurvePrivateKey, Authority]:
    """Make a CA that can sign for exactly ``hosts``; without hosts, for none that exists.

    A constraint also permits a host's subdomains; these are excluded again, unless one of them is listed itself.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    common_name = f"hoopguard CA {now:%Y-%m-%d} {serial:x}"[:36]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=serial)
        .not_valid_before(now - _CLOCK_LEEWAY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_constraints(hosts), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, Authority.of(builder.sign(key, hashes.SHA256()))


def init_authority(folder: Path, hosts: Sequence[str], now: datetime, days: int, *, force: bool = False) -> Authority:
    """Make a CA and write it to ``folder``: the key (0600), the certificate, and the bundle with the system's roots.

    Each file appears whole or not at all. The key's comes first and holds the certificate too: it is the one that
    counts, and without ``force`` only one of two that run at the same time can win.

    Raises:
        AuthorityError: there is a CA already. OSError: the folder cannot be written.
    """
    from mitmproxy.certs import DEFAULT_DHPARAM

    key, authority = new_authority(hosts, now, days)
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    pem = authority.cert.public_bytes(Encoding.PEM)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        _write(folder / KEY_FILE, secret + pem, 0o600, overwrite=force)
    except FileExistsError as error:
        raise AuthorityError(f"there is a CA in {folder} already", "keep it, or " + _REMAKE) from error
    _write(folder / CERT_FILE, pem, 0o644, overwrite=True)
    _write(folder / BUNDLE_FILE, _system_roots() + pem, 0o644, overwrite=True)
    # mitmproxy would write this one itself, which a read-only folder does not allow.
    _write(folder / DHPARAM_FILE, DEFAULT_DHPARAM, 0o644, overwrite=True)
    return authority


def load_authority(folder: Path) -> Authority:
    """Read the CA that mitmproxy would use from ``folder``; see :func:`check_authority` for what it may do.

    Raises:
        AuthorityError: it is missing, others can read its key, its parts do not belong together, or it is not
            constrained to hosts.
    """
    file = folder / KEY_FILE
    raw = _read_secret(file)
    try:
        cert = x509.load_pem_x509_certificate(raw)
        key = load_pem_private_key(raw, None)
    except (ValueError, TypeError) as error:
        raise AuthorityError(f"{file}: expected a certificate and its unencrypted key, in PEM", _REMAKE) from error
    if _spki(key.public_key()) != _spki(cert.public_key()):
        raise AuthorityError(f"{file}: the key does not belong to the certificate", _REMAKE)
    try:
        authority = Authority.of(cert)
    except ValueError as error:
        raise AuthorityError(f"{file}: {error}", _REMAKE) from error
    if _read_certificate(folder / CERT_FILE) != cert:
        raise AuthorityError(f"{folder / CERT_FILE}: not the certificate that {KEY_FILE} holds", _REMAKE)
    return authority


def check_authority(authority: Authority, hosts: Iterable[str], now: datetime) -> None:
    """Check that the CA is valid ``now`` and may speak for all of ``hosts``.

    Raises:
        AuthorityError: it is not valid yet or any more, or a host is missing from its name constraints.
    """
    if now >= authority.not_after:
        raise AuthorityError(f"the CA expired on {authority.not_after:%Y-%m-%d %H:%M} UTC", _REMAKE)
    if now < authority.cert.not_valid_before_utc:
        raise AuthorityError(f"the CA is not valid before {authority.cert.not_valid_before_utc:%Y-%m-%d}", _REMAKE)
    missing = sorted(set(hosts) - set(authority.permitted_hosts))
    if missing:
        raise AuthorityError(f"the CA may not speak for {', '.join(missing)}, which the policy lists", _REMAKE)


def utc_now() -> datetime:
    """Return the time as certificates write it."""
    return datetime.now(UTC)


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(hosts: Sequence[str]) -> x509.NameConstraints:
    names = list(dict.fromkeys(hosts or (NO_HOST,)))
    networks = [network for name in names if (network := _as_network(name))]
    # An address is permitted as a name too: OpenSSL reads one in a certificate's common name that way. It also
    # means that there is always a permitted DNS name, without which every DNS name would be permitted.
    permitted = [*(x509.DNSName(name) for name in names), *(x509.IPAddress(network) for network in networks)]
    # A leading dot means "at least one more label" to OpenSSL, Go, NSS and rustls; others ignore such an exclusion.
    excluded: list[x509.GeneralName] = [
        x509.DNSName(f".{name}") for name in names if not any(other.endswith(f".{name}") for other in names)
    ]
    if not networks:
        excluded += [x509.IPAddress(network) for network in _EVERY_ADDRESS]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded)


def _as_network(host: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(ip_address(host))
    except ValueError:
        return None


def _permitted_hosts(cert: x509.Certificate) -> tuple[str, ...]:
    try:
        basic = cert.extensions.get_extension_for_class(x509.BasicConstraints).value
        names = cert.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound as error:
        raise ValueError("expected a CA with name constraints; without them it could speak for any host") from error
    permitted = names.value.permitted_subtrees
    if not basic.ca or not names.critical or not permitted:
        raise ValueError("expected a CA with critical name constraints that permit hosts")
    return tuple(name.value for name in permitted if isinstance(name, x509.DNSName) and name.value != NO_HOST)


def _read_secret(file: Path) -> bytes:
    try:
        mode = file.stat().st_mode
        raw = file.read_bytes()
    except FileNotFoundError as error:
        raise AuthorityError(f"there is no CA in {file.parent}", "run: hoopguard certs init") from error
    except OSError as error:
        raise AuthorityError(f"{file}: cannot be read: {error.strerror}", f"run as the owner of {file}") from error
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise AuthorityError(f"{file}: others than its owner can read this key", f"run: chmod 600 {file}")
    return raw


def _read_certificate(file: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return None


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _system_roots() -> bytes:
    """Return the roots that this machine trusts, whatever variables say: they may name an older bundle of ours."""
    openssl = ssl.get_default_verify_paths().openssl_cafile
    for file in (*_SYSTEM_ROOTS, openssl, certifi.where()):
        with suppress(OSError):
            return Path(file).read_bytes().rstrip() + b"\n"
    return b""


def _write(file: Path, content: bytes, mode: int, *, overwrite: bool) -> None:
    """Write a file whole, or not at all.

    Raises:
        FileExistsError: it exists and is not to be overwritten.
    """
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600 from the first byte
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fchmod(opened.fileno(), mode)
            os.fsync(opened.fileno())
        Path(draft).replace(file) if overwrite else os.link(draft, file)
    finally:
        Path(draft).unlink(missing_ok=True)
