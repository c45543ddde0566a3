"""What tests with a real gateway share: how its policy begins, rules that many want, and where it says it listens."""

import re
from typing import Final

LISTENING: Final = re.compile(r"(reverse|HTTP\(S\)) proxy.* listening at (?:\S+:)?(\d+)\.")
HEAD: Final = """
version = 1
[gateway]
state = "state"
certs = "certs"
max_body_bytes = "2MB"
[[issuer]]
name = "demo"
url = "{issuer}"
audience = "hoopguard"
leeway = "1s"
claims = {{ subject = "email", groups = "groups", session = "sid" }}
"""
NO_BANANAS: Final = """
[[guardrail]]
name = "no-bananas"
words = ["banana"]
action = "block"
message = "Bananas must not be discussed."
"""
PERSONAL_DATA: Final = """
[[mask]]
name = "personal-data"
entities = ["EMAIL_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER"]
[record]
durability = "flush"
"""
