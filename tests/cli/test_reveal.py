"""``hoopguard reveal``, through the real console entry."""

import subprocess
import sys
from pathlib import Path

from policies import SMALL

from hoopguard.masking.encryption import Cipher

HOOPGUARD = str(Path(sys.executable).parent / "hoopguard")
KEY = "a key of at least thirty-two characters"
POLICY = f"""{SMALL}
[[mask]]
name = "personal"
entities = ["EMAIL_ADDRESS"]
"""
ENCRYPTS = POLICY + f'operator = {{ encrypt = {{ key = "{KEY}" }} }}\n'
TOKEN = Cipher(KEY).encrypt("EMAIL_ADDRESS", "bob@example.com")


def run(folder: Path, *arguments: str, text: bytes = b"", policy: str = ENCRYPTS) -> subprocess.CompletedProcess[bytes]:
    (folder / "policy.toml").write_text(policy)
    return subprocess.run(
        [HOOPGUARD, "reveal", *arguments], cwd=folder, input=text, capture_output=True, check=False, timeout=60
    )


def test_a_text_from_standard_input_is_revealed_and_its_other_bytes_stay(tmp_path: Path) -> None:
    result = run(tmp_path, text=b"\xffto " + TOKEN.encode() + b"\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"\xffto bob@example.com\n", b"")


def test_a_file_is_revealed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(f"{TOKEN} and {TOKEN}")
    assert run(tmp_path, "notes.txt").stdout == b"bob@example.com and bob@example.com"


def test_a_token_of_another_key_is_left_and_exits_1(tmp_path: Path) -> None:
    other = Cipher("z" * 32).encrypt("EMAIL_ADDRESS", "x").encode()
    result = run(tmp_path, "-", text=other)
    assert (result.returncode, result.stdout) == (1, other)
    assert b"error: 1 of the tokens" in result.stderr


def test_a_policy_that_does_not_encrypt_is_a_mistake(tmp_path: Path) -> None:
    result = run(tmp_path, policy=POLICY)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"hint: " in result.stderr


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    assert run(tmp_path, "none.txt").returncode == 2
