"""A policy that says no more than it has to, one that says something of all, and ways to spoil it."""

from pathlib import Path

SECRET = "sk-5up3r-s3cr3t-va1ue"

SMALL = f"""
version = 1
[[issuer]]
name = "staff"
url = "https://id.example.com"
audience = "hoopguard"
[[connection]]
name = "llama"
upstream = "http://127.0.0.1:8000"
hosts = ["llama.example.com"]
credential = {{ value = "Bearer {SECRET}" }}
allow = [{{ groups = ["ml"] }}]
"""

RULES = """
[[guardrail]]
name = "codenames"
words = ["tropical"]
action = "block"

[[approval]]
name = "owners"
reviewers = ["owners"]
"""

GOOD = f"""{SMALL}
[gateway]
state = "var"
{RULES}
[[recogniser]]
name = "badge"
entity = "BADGE"
deny_list = ["B-1"]

[[mask]]
name = "personal"
entities = ["pack:pii", "BADGE"]
operator = {{ hash = {{ key = "{SECRET}" }} }}

[record]
content = "masked"
"""


def written(folder: Path, text: str = GOOD) -> Path:
    file = folder / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return file


def spoiled(old: str, new: str) -> str:
    """Return the good policy with one thing changed."""
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)
