"""Recognisers for secrets: tokens of the well-known providers, private keys, JWTs, connection strings, assignments.

A pattern begins with what its provider begins with, so that every scan is short. What has a checksum and passes is
certain; what fails it is kept at its pattern's score, for providers change their formats more often than this file.
What is plainly no secret (a run of ``x``, a template's variable) is dropped.
"""

import binascii
import json
import math
import zlib
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable
from typing import Final

import regex
from presidio_analyzer import Pattern, PatternRecognizer

from hoopguard.masking.checksums import crc_base62

Validate = Callable[[str], bool | None]
"""True: certain; None: as sure as the pattern; False: none."""

FLAGS: Final = regex.DOTALL | regex.MULTILINE
_FEWEST_DISTINCT: Final = 6
_LEAST_BITS_PER_CHAR: Final = 3.0

_START: Final = r"(?<![A-Za-z0-9_-])"
_END: Final = r"(?![A-Za-z0-9_-])"


def _token(body: str) -> str:
    return f"{_START}{body}{_END}"


_KEY_SEP: Final = r"(?:[\s\"',>|]|\\[nr]){1,16}+"
_KEY_END: Final = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY: Final = (
    r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_KEY_SEP}[A-Za-z][A-Za-z-]{{1,20}}: [^\n\\]{{1,100}}){{0,6}}"
    rf"(?:(?:{_KEY_SEP})?[A-Za-z0-9+/=]{{16,}}+)++"
    rf"(?:(?:{_KEY_SEP}[A-Za-z0-9+/=]{{1,80}}+){{0,2}}(?:{_KEY_SEP})?(?:{_KEY_END}|\Z))?"
)
_JWT: Final = rf"{_START}eyJ[A-Za-z0-9_-]{{8,}}(?:\.[A-Za-z0-9_-]*){{1,4}}(?<!\.)"
_LOGIN_URL: Final = (
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:/?#@\"'<>]{0,128}:[^\s/?#@\"'<>]{1,256}"
    r"@[A-Za-z0-9._\[\]:%,-]{1,256}(?:/[^\s\"'<>()]{0,512})?(?<![.,:;])"
)
_NAMES: Final = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?"
    r"|(?:api|access|auth|account|encryption|private|secret|signing)[_-]?key)"
)
_QUOTED: Final = rf"(?i:(?<={_NAMES}[\"']?\s{{0,3}}(?::=|=>|=|:)\s{{0,3}}[\"'])[^\s\"'<>{{}}$]{{8,200}}(?=[\"']))"
_ENVIRONMENT: Final = r"(?<=(?:PASSWORD|PASSWD|SECRET|TOKEN|_KEY)=)[^\s\"'<>{}$;,&()]{12,200}"
_ASSIGNED_AWS: Final = (
    r"(?i:(?<=aws.{0,20}secret.{0,20}[\"']?\s{0,3}[=:]\s{0,3}[\"']?))[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
)


def _any(text: str) -> bool | None:
    """Have nothing to say."""
    return None


def _plausible(text: str) -> bool | None:
    """Drop what has too few different characters to be a key."""
    return False if len(set(text.rpartition("_")[2])) < _FEWEST_DISTINCT else None


def _checked(text: str) -> bool | None:
    """Be certain of a token that carries its own checksum."""
    return True if crc_base62(text) else _plausible(text)


def _is_account_key(text: str) -> bool | None:
    """Be certain of a key of ``hoopguard accounts``, which ends in the CRC-32 of all before."""
    body, _, checksum = text.rpartition("_")
    return True if f"{zlib.crc32(body.encode()):08x}" == checksum else None


def _is_jwt(text: str) -> bool:
    """Tell whether a token's first part is a JOSE header (RFC 7515 §4): a JSON object that names an algorithm."""
    head = text.partition(".")[0]
    try:
        header = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and isinstance(header.get("alg"), str)


def _has_password(text: str) -> bool | None:
    """Drop a URL whose password is a template's variable or left out."""
    password = text.partition("://")[2].partition("@")[0].partition(":")[2]
    is_template = password[0] in "${%*" or password.strip("*xX.…") == ""
    return False if is_template else None


def _is_random(text: str) -> bool | None:
    """Drop an assigned value that reads like a word, a name or a path; it says nothing that must be hidden."""
    bits = -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
    digits = sum(map(str.isdecimal, text))
    letters = sum(map(str.isalpha, text))
    return None if bits >= _LEAST_BITS_PER_CHAR and digits >= 2 and letters >= 2 else False


_TOKENS: Final[dict[str, tuple[str, ...]]] = {
    "ANTHROPIC_KEY": (r"sk-ant-[a-z]{2,8}[0-9]{2}-[A-Za-z0-9_-]{24,200}",),
    "AWS_ACCESS_KEY": (r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",),
    "GITLAB_TOKEN": (
        r"gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z.]{7,12})?",
    ),
    "GOOGLE_KEY": (r"AIza[A-Za-z0-9_-]{35}", r"GOCSPX-[A-Za-z0-9_-]{28}", r"ya29\.[A-Za-z0-9_-]{20,300}"),
    "HUGGINGFACE_TOKEN": (r"(?:hf_|api_org_)[A-Za-z0-9]{30,40}",),
    "OPENAI_KEY": (
        r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,250}",
        r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
        r"sk-[A-Za-z0-9]{48}",
    ),
    "PROVIDER_TOKEN": (
        r"SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}",
        r"dapi[a-f0-9]{32}(?:-[0-9])?",
        r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,40}",
        r"do[opr]_v1_[a-f0-9]{64}",
        r"gsk_[A-Za-z0-9]{48,60}",
        r"hv[sb]\.[A-Za-z0-9_-]{24,300}",
        r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
        r"xai-[A-Za-z0-9]{70,90}",
        r"pplx-[A-Za-z0-9]{40,60}",
        r"r8_[A-Za-z0-9]{37}",
        r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    ),
    "PYPI_TOKEN": (r"pypi-AgE[A-Za-z0-9_-]{50,500}",),
    "SLACK_TOKEN": (
        r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,250}",
        r"xapp-[0-9]-[A-Z0-9]{8,16}-[0-9]{8,16}-[a-f0-9]{32,80}",
        r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{30,80}",
    ),
    "STRIPE_KEY": (r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,247}", r"whsec_[A-Za-z0-9+/=]{24,64}"),
}
"""Formats that begin with a word of their provider's; none has a checksum that is known."""

SECRETS: Final[dict[str, tuple[tuple[str, ...], Validate, float]]] = {
    **{entity: (tuple(map(_token, bodies)), _plausible, 0.8) for entity, bodies in _TOKENS.items()},
    "ASSIGNED_SECRET": ((_QUOTED, _ENVIRONMENT), _is_random, 0.5),
    "AWS_SECRET_KEY": ((_ASSIGNED_AWS,), _plausible, 0.8),
    "AZURE_KEY": (
        (
            r"(?<=(?:AccountKey|SharedAccessKey)=)[A-Za-z0-9+/]{43,86}={1,2}",
            r"(?<=[?&;]sig=)[A-Za-z0-9%+/]{40,120}(?:=|%3[dD])",
            _token(r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
        ),
        _plausible,
        0.8,
    ),
    "CONNECTION_STRING": ((_LOGIN_URL,), _has_password, 0.8),
    "GITHUB_TOKEN": (
        (_token(r"gh[oprsu]_[A-Za-z0-9]{36,251}"), _token(r"github_pat_[A-Za-z0-9_]{60,251}")),
        _checked,
        0.6,
    ),
    "HOOPGUARD_KEY": ((_token(r"hgsa_[a-z2-7]{12}_[A-Za-z0-9_-]{43}_[0-9a-f]{8}"),), _is_account_key, 0.6),
    "JWT": ((_JWT,), _is_jwt, 0.8),
    "NPM_TOKEN": ((_token(r"npm_[A-Za-z0-9]{36}"),), _checked, 0.6),
    "PRIVATE_KEY": ((_PRIVATE_KEY, r"AGE-SECRET-KEY-1[A-Z0-9]{58}"), _any, 0.9),
}
"""Every secret's patterns, its validator and the score of a match that the validator has nothing to say about."""


_NEEDS: Final = {
    "ASSIGNED_SECRET": r"\d",
    "AWS_SECRET_KEY": r"[A-Za-z0-9/+]{40}",
    "AZURE_KEY": r"=|%3[dD]|Q~",
    "HUGGINGFACE_TOKEN": "hf_|api_org_",
}
"""What a match has in itself, where looking for that is quicker; what stands before it may be out of reach."""


class SecretRecognizer(PatternRecognizer):
    """Presidio's pattern recogniser for one kind of secret."""

    def __init__(self, entity: str) -> None:
        """Take the patterns and the validator from the table."""
        patterns, self._validate, score = SECRETS[entity]
        self.need = _NEEDS.get(entity)
        super().__init__(
            supported_entity=entity,
            patterns=[Pattern(f"{entity} {number}", source, score) for number, source in enumerate(patterns)],
            global_regex_flags=FLAGS,
        )

    def validate_result(self, pattern_text: str) -> bool | None:
        """Say what the validator says."""
        return self._validate(pattern_text)
