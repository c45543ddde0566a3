"""The gateway's CA: real curl, Python's ssl and Node meet certificates that mitmproxy's own store signed with it."""

import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mitmproxy.certs import CertStore

from hoopguard.authority import (
    BUNDLE_FILE,
    CERT_FILE,
    DHPARAM_FILE,
    KEY_FILE,
    Authority,
    AuthorityError,
    check_authority,
    init_authority,
    load_authority,
)
from hoopguard.demo.model import DemoModel

NOW = datetime.now(UTC)
LISTED = "llama.models.example.com"
HOSTS = (LISTED, "qwen.models.example.com")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ca") / "certs"
    init_authority(folder, HOSTS, NOW, 30)
    return folder


@contextmanager
def speaking_for(folder: Path, *names: str) -> Iterator[DemoModel]:
    """Run a TLS server whose certificate mitmproxy's own store made for ``names`` with the CA in ``folder``."""
    store = CertStore.from_store(folder, "mitmproxy", 2048)
    entry = store.get_cert(names[0], [_general_name(name) for name in names])
    pair = folder.parent / "leaf.pem"
    secret = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair.write_bytes(secret + entry.cert.to_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with DemoModel(tls=context, api_key="") as model:
        yield model


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def curl(model: DemoModel, host: str, trusted: Path) -> subprocess.CompletedProcess[str]:
    url = f"https://{host}:{model.port}/v1/models"
    command = ["curl", "-sS", "--noproxy", "*", "--resolve", f"{host}:{model.port}:127.0.0.1", url]
    environment = {"CURL_CA_BUNDLE": str(trusted), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def python_handshake(model: DemoModel, host: str, trusted: Path) -> None:
    context = ssl.create_default_context(cafile=str(trusted))
    with (
        ssl.create_connection(("127.0.0.1", model.port)) as plain,  # type: ignore[attr-defined] # ssl re-exports it
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


@pytest.mark.parametrize("host", HOSTS)
def test_a_listed_host_is_accepted(folder: Path, host: str) -> None:
    """Clients that trust the CA believe the gateway when it speaks for a host of the policy."""
    with speaking_for(folder, host) as model:
        answer = curl(model, host, folder / BUNDLE_FILE)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "llama-3-8b" in answer.stdout
        python_handshake(model, host, folder / BUNDLE_FILE)
        python_handshake(model, host, folder / CERT_FILE)


@pytest.mark.parametrize(
    "names",
    [
        ("www.example.org",),
        ("models.example.com",),
        (f"sub.{LISTED}",),
        ("*.models.example.com",),
        (f"x{LISTED}",),
        ("127.0.0.1",),
        (LISTED, "www.example.org"),
    ],
    ids=lambda names: "+".join(names),
)
def test_any_other_host_is_refused(folder: Path, names: tuple[str, ...]) -> None:
    """The same CA's certificate for anything else is refused, also beside a listed name."""
    host = names[0].replace("*", "llama")
    with speaking_for(folder, *names) as model:
        answer = curl(model, host, folder / BUNDLE_FILE)
        assert answer.returncode == 60
        assert "subtree violation" in answer.stderr
        with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
            python_handshake(model, host, folder / BUNDLE_FILE)


def test_without_the_ca_nobody_believes_it(folder: Path) -> None:
    """A client that was not told to trust the CA refuses a listed host too."""
    with speaking_for(folder, LISTED) as model, pytest.raises(ssl.SSLCertVerificationError):
        python_handshake(model, LISTED, Path("/etc/ssl/certs/ca-certificates.crt"))


def test_an_address_can_be_a_host(tmp_path: Path) -> None:
    """A host that is an IP address is permitted as one, and no other address is."""
    authority = init_authority(tmp_path / "certs", ["127.0.0.1", LISTED], NOW, 30)
    assert authority.permitted_hosts == ("127.0.0.1", LISTED)
    with speaking_for(tmp_path / "certs", "127.0.0.1") as model:
        trust = ssl.create_default_context(cafile=str(tmp_path / "certs" / CERT_FILE))
        assert httpx.get(f"{model.url}/v1/models", verify=trust).status_code == 200
    for other in ("127.0.0.2", "www.example.org"):
        with speaking_for(tmp_path / "certs", other) as model, pytest.raises(ssl.SSLCertVerificationError):
            python_handshake(model, other, tmp_path / "certs" / CERT_FILE)


def test_only_an_address_does_not_open_all_names(tmp_path: Path) -> None:
    """A CA for nothing but an address cannot speak for a name."""
    init_authority(tmp_path / "certs", ["127.0.0.1"], NOW, 30)
    with speaking_for(tmp_path / "certs", LISTED) as model:
        assert curl(model, LISTED, tmp_path / "certs" / CERT_FILE).returncode == 60


def test_a_listed_subdomain_stays_permitted(tmp_path: Path) -> None:
    """A host and a subdomain of it can both be listed."""
    init_authority(tmp_path / "certs", ["example.com", "llama.example.com"], NOW, 30)
    for host in ("example.com", "llama.example.com"):
        with speaking_for(tmp_path / "certs", host) as model:
            assert curl(model, host, tmp_path / "certs" / CERT_FILE).returncode == 0


def test_a_ca_for_no_hosts_speaks_for_none(tmp_path: Path) -> None:
    """Without hosts there is nothing that the CA could sign and anybody would believe."""
    authority = init_authority(tmp_path / "certs", [], NOW, 30)
    assert authority.permitted_hosts == ()
    with speaking_for(tmp_path / "certs", LISTED) as model:
        assert curl(model, LISTED, tmp_path / "certs" / CERT_FILE).returncode == 60


def test_node_believes_it_for_a_listed_host_only(folder: Path) -> None:
    """Node, where there is one, keeps to the constraints as well."""
    node = shutil.which("node")
    script = """
    const [port, host] = process.argv.slice(1);
    const done = code => () => process.exit(code);
    require("tls").connect({port, host: "127.0.0.1", servername: host}, done(0)).on("error", done(7));
    """
    for name, code in ((LISTED, 0), ("www.example.org", 7)):
        with speaking_for(folder, name) as model:
            environment = {"NODE_EXTRA_CA_CERTS": str(folder / CERT_FILE)}
            command = [node or "true", "-e", script, str(model.port), name]
            ended = subprocess.run(command, check=False, env=environment, capture_output=True)
            assert ended.returncode == (code if node else 0)


def test_files_and_modes(folder: Path) -> None:
    """Only the key is secret; the bundle has the system's roots and the CA."""
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes == {KEY_FILE: 0o600, CERT_FILE: 0o644, BUNDLE_FILE: 0o644, DHPARAM_FILE: 0o644}
    bundle = (folder / BUNDLE_FILE).read_bytes()
    assert bundle.endswith((folder / CERT_FILE).read_bytes())
    assert bundle.count(b"BEGIN CERTIFICATE") > 10


def test_the_certificate_is_a_ca_and_cannot_make_another(folder: Path) -> None:
    """It signs leaves only, and says critically what it may sign."""
    extensions = load_authority(folder).cert.extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert extensions.get_extension_for_class(x509.NameConstraints).critical
    assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_init_keeps_a_ca_unless_forced(tmp_path: Path) -> None:
    """A CA that people trust is not thrown away by accident."""
    first = init_authority(tmp_path, HOSTS, NOW, 30)
    with pytest.raises(AuthorityError, match="already") as refused:
        init_authority(tmp_path, HOSTS, NOW, 30)
    assert "--force" in refused.value.hint
    assert load_authority(tmp_path).fingerprint == first.fingerprint
    second = init_authority(tmp_path, HOSTS, NOW, 30, force=True)
    assert load_authority(tmp_path).fingerprint == second.fingerprint != first.fingerprint
    assert len(list(tmp_path.iterdir())) == 4


def test_init_does_not_trust_the_ca_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that has `certs env` in it must not carry the old CA into the new bundle."""
    first = init_authority(tmp_path, HOSTS, NOW, 30)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / BUNDLE_FILE))
    init_authority(tmp_path, HOSTS, NOW, 30, force=True)
    assert first.cert.public_bytes(Encoding.PEM) not in (tmp_path / BUNDLE_FILE).read_bytes()


@pytest.mark.parametrize(
    ("hosts", "when", "expected"),
    [
        (HOSTS, NOW, None),
        ((LISTED,), NOW, None),
        (HOSTS, NOW + timedelta(days=30), "expired"),
        (HOSTS, NOW - timedelta(days=3), "not valid before"),
        ((*HOSTS, "new.example.com"), NOW, "new.example.com"),
    ],
)
def test_check(folder: Path, hosts: tuple[str, ...], when: datetime, expected: str | None) -> None:
    """A CA does if it is valid and covers every host of the policy; otherwise the error says what is wrong."""
    authority = load_authority(folder)
    if expected is None:
        check_authority(authority, hosts, when)
        return
    with pytest.raises(AuthorityError, match=expected):
        check_authority(authority, hosts, when)


def test_a_missing_ca_says_how_to_make_one(tmp_path: Path) -> None:
    """An empty folder is one clear error."""
    with pytest.raises(AuthorityError, match="no CA") as error:
        load_authority(tmp_path)
    assert error.value.hint == "run: hoopguard certs init"


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A key that others can read is no secret any more."""
    init_authority(tmp_path, HOSTS, NOW, 30)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(AuthorityError, match="others") as error:
        load_authority(tmp_path)
    assert "chmod 600" in error.value.hint


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """A key of one CA with the certificate of another, or a swapped public file, is found."""
    for name in ("a", "b"):
        init_authority(tmp_path / name, HOSTS, NOW, 30)
    ours, theirs = ((tmp_path / name / KEY_FILE).read_text() for name in ("a", "b"))
    cut = "-----BEGIN CERTIFICATE-----"
    (tmp_path / "a" / CERT_FILE).write_bytes((tmp_path / "b" / CERT_FILE).read_bytes())
    with pytest.raises(AuthorityError, match="not the certificate"):
        load_authority(tmp_path / "a")
    (tmp_path / "a" / KEY_FILE).write_text(ours.split(cut)[0] + cut + theirs.split(cut)[1])
    with pytest.raises(AuthorityError, match="does not belong"):
        load_authority(tmp_path / "a")


@pytest.mark.parametrize("content", ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_is_no_ca_is_refused(tmp_path: Path, content: str) -> None:
    """Garbage in the key's file is an operator's error, not a traceback."""
    (tmp_path / KEY_FILE).write_text(content)
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(AuthorityError, match="expected a certificate and its unencrypted key"):
        load_authority(tmp_path)


def test_an_unconstrained_ca_is_refused(tmp_path: Path) -> None:
    """The CA that mitmproxy makes by itself could speak for any host: it does not do."""
    CertStore.create_store(tmp_path, "mitmproxy", 2048)
    with pytest.raises(AuthorityError, match="name constraints"):
        load_authority(tmp_path)


def test_an_authority_can_be_read_from_its_certificate(folder: Path) -> None:
    """The public certificate alone says who the CA is and what it may do."""
    public = Authority.of(x509.load_pem_x509_certificate((folder / CERT_FILE).read_bytes()))
    assert public == load_authority(folder)
    assert public.permitted_hosts == HOSTS
