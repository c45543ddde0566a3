"""CA bundles that *add* the gateway's CA to what each client trusts already."""

import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import certifi

TRUST_VARIABLES: Final = {
    "SSL_CERT_FILE": True,
    "REQUESTS_CA_BUNDLE": True,
    "CURL_CA_BUNDLE": True,
    "GIT_SSL_CAINFO": True,
    "AWS_CA_BUNDLE": True,
    "PIP_CERT": True,
    "NODE_EXTRA_CA_CERTS": False,
}
"""Where clients look for CAs, and whether that replaces their own (then it gets the system's roots as well)."""

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_PRIVATE: Final = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Bundles:
    """A temporary folder with the bundles, and the variables that name them."""

    folder: Path
    variables: Mapping[str, str]

    def remove(self) -> None:
        """Remove the folder with the bundles."""
        for file in set(self.variables.values()):
            Path(file).unlink(missing_ok=True)
        self.folder.rmdir()


def make_bundles(ca: Path, env: Mapping[str, str]) -> Bundles:
    """Write a bundle (0600) for each set of roots that clients start from: the system's, or their variable's.

    What one client alone was told to trust is not given to the others.

    Raises:
        ValueError: ``ca`` holds no certificate, or a key as well. OSError: a file cannot be read or written.
    """
    own = ca.read_bytes()
    if _BEGIN not in own:
        raise ValueError(f"{ca}: expected the gateway's CA certificate, in PEM")
    if _PRIVATE in own:
        raise ValueError(f"{ca}: holds a private key; callers get the certificate only (mitmproxy-ca-cert.pem)")
    folder = Path(tempfile.mkdtemp(prefix="hoopguard-"))
    files: dict[bytes, Path] = {}
    variables: dict[str, str] = {}
    for variable, replaces in TRUST_VARIABLES.items():
        roots = _roots(env.get(variable, ""), replaces=replaces)
        if roots not in files:
            files[roots] = _write(folder / f"bundle-{len(files)}.pem", roots + own)
        variables[variable] = str(files[roots])
    return Bundles(folder, variables)


def _roots(named: str, *, replaces: bool) -> bytes:
    """Return what the client trusts so far, ending with a line end if there is anything."""
    if named and Path(named).is_file():
        return _lines(Path(named).read_bytes())
    return system_roots() if replaces else b""


def system_roots() -> bytes:
    """Return the system's roots; certifi's if there are none."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return _lines(Path(paths.cafile).read_bytes())
    if paths.capath:
        # Each is there under several names; ``<hash>.<n>`` is the one that OpenSSL looks for.
        hashed = [file.read_bytes() for file in sorted(Path(paths.capath).glob("*.[0-9]")) if file.is_file()]
        if hashed:
            return b"".join(map(_lines, hashed))
    return _lines(Path(certifi.where()).read_bytes())


def _lines(pem: bytes) -> bytes:
    return pem if pem.endswith(b"\n") else pem + b"\n"


def _write(file: Path, content: bytes) -> Path:
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(content)
    return file
