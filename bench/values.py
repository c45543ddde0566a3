"""Values as people write them, made up: each with a right checksum, none of them anybody's."""

import base64
import json
import random
import string
import zlib
from collections.abc import Callable
from typing import Final

_ALPHANUMERIC: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FIRST: Final = ("Ann", "Bruno", "Chen", "Dana", "Emeka", "Fatima", "Goran", "Hannah", "Ivo", "Jun", "Kavita", "Lucía")
_LAST: Final = (
    "Adeyemi",
    "Brown",
    "Costa",
    "Dietrich",
    "Evans",
    "Fischer",
    "García",
    "Huang",
    "Ito",
    "Jansen",
    "Okoro",
)
_PLACES: Final = (
    "Lisbon",
    "Chicago",
    "Graz",
    "Nairobi",
    "Osaka",
    "New Delhi",
    "São Paulo",
    "Leeds",
    "Utrecht",
    "Lagos",
)
_HOSTS: Final = ("example.com", "mail.example.org", "corp.internal", "example.co.uk", "lab.lan", "post.example.de")


def _digits(randomness: random.Random, count: int) -> str:
    return "".join(randomness.choice(string.digits) for _ in range(count))


def _token(randomness: random.Random, count: int) -> str:
    return "".join(randomness.choice(_ALPHANUMERIC) for _ in range(count))


def person(randomness: random.Random) -> str:
    """Return a name."""
    return f"{randomness.choice(_FIRST)} {randomness.choice(_LAST)}"


def email(randomness: random.Random) -> str:
    """Return an address, at an internal host too."""
    name = person(randomness).lower().encode("ascii", "ignore").decode().split()
    return f"{randomness.choice(['.', '_', '']).join(name)}@{randomness.choice(_HOSTS)}"


def phone(randomness: random.Random) -> str:
    """Return a phone number of the United States, Germany, Britain or India."""
    line = f"{randomness.randint(2, 9)}{_digits(randomness, 6)}"
    national = f"{line[:3]}-{line[3:]}"
    return randomness.choice(
        (
            f"(415) {national}",
            f"415-{national}",
            f"+1 212 {national}",
            f"+49 30 {_digits(randomness, 7).replace('0', '4')}",
            f"+44 20 7{_digits(randomness, 3)} {_digits(randomness, 4)}",
            f"+91 98{_digits(randomness, 3)} {_digits(randomness, 5)}",
        )
    )


def card(randomness: random.Random) -> str:
    """Return a card number of one of four networks, in one of three writings."""
    prefix, length = randomness.choice((("4", 16), ("51", 16), ("2223", 16), ("37", 15), ("4", 19)))
    body = prefix + _digits(randomness, length - len(prefix) - 1)
    doubled = [sum(divmod(int(digit) * 2, 10)) for digit in body[::-1][::2]]
    check = -(sum(doubled) + sum(int(digit) for digit in body[::-1][1::2])) % 10
    number = f"{body}{check}"
    separator = randomness.choice(("", " ", "-")) if length == 16 else ""
    return separator.join(number[at : at + 4] for at in range(0, length, 4))


def iban(randomness: random.Random) -> str:
    """Return a German or British account number."""
    country, bank = randomness.choice((("DE", ""), ("GB", "NWBK")))
    body = bank + _digits(randomness, 18 if country == "DE" else 14)
    check = 98 - int("".join(str(int(char, 36)) for char in f"{body}{country}00")) % 97
    number = f"{country}{check:02}{body}"
    return randomness.choice((number, " ".join(number[at : at + 4] for at in range(0, len(number), 4))))


def ssn(randomness: random.Random) -> str:
    """Return a social security number of the United States."""
    parts = (randomness.randint(100, 665), randomness.randint(10, 99), randomness.randint(1000, 9999))
    return randomness.choice("- ").join(map(str, parts))


def ip(randomness: random.Random) -> str:
    """Return an address of version 4 or 6."""
    four = ".".join(str(randomness.randint(1, 254)) for _ in range(4))
    return randomness.choice((four, f"2001:db8::{randomness.randint(1, 65535):x}:{randomness.randint(1, 65535):x}"))


def github(randomness: random.Random) -> str:
    """Return a token with its checksum."""
    body, check = _token(randomness, 30), ""
    number = zlib.crc32(body.encode())
    while number:
        number, digit = divmod(number, 62)
        check = _ALPHANUMERIC[digit] + check
    return f"gh{randomness.choice('pos')}_{body}{check.rjust(6, '0')}"


def jwt(randomness: random.Random) -> str:
    """Return a signed token; the signature is none."""
    parts = ({"alg": "RS256", "kid": _token(randomness, 6)}, {"sub": _token(randomness, 8)})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, _token(randomness, 43)))


def connection(randomness: random.Random) -> str:
    """Return a database's URL with a password."""
    scheme = randomness.choice(("postgresql", "mysql", "mongodb+srv", "redis", "amqp"))
    return f"{scheme}://app:{_token(randomness, 12)}@db{randomness.randint(1, 9)}.internal:5432/main"


def aws(randomness: random.Random) -> str:
    """Return an access key's id."""
    return "AKIA" + "".join(randomness.choice(string.ascii_uppercase + "234567") for _ in range(16))


NAMES: Final = frozenset({"PERSON", "LOCATION"})
"""What only a model finds."""

MAKERS: Final[dict[str, Callable[[random.Random], str]]] = {
    "AWS_ACCESS_KEY": aws,
    "CONNECTION_STRING": connection,
    "CREDIT_CARD": card,
    "EMAIL_ADDRESS": email,
    "GITHUB_TOKEN": github,
    "IBAN_CODE": iban,
    "IP_ADDRESS": ip,
    "JWT": jwt,
    "LOCATION": lambda randomness: randomness.choice(_PLACES),
    "PERSON": person,
    "PHONE_NUMBER": phone,
    "US_SSN": ssn,
}
