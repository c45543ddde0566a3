"""Secrets are found by their shape, in streams too; what only resembles one is left."""

import json
import zlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import cut, masker, sizes, streamed

from hoopguard.masking.checksums import crc_base62
from hoopguard.masking.secrets import SECRETS
from hoopguard.policy.packs import PACKS

RULES = masker({"name": "s", "entities": ("pack:secrets", "CARD_SECURITY_CODE")}, recognisers=())
SURE = masker({"name": "s", "entities": ("pack:secrets",), "threshold": 0.95}, recognisers=())
PII = masker({"name": "p", "entities": ("pack:pii",)}, recognisers=())


def part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


CHECKED = "ghp_" + "0000000000aB3dE6gH9jK2mN5pQ8sT2GoBap"
ACCOUNT_KEY = "hgsa_" + "k3v5x2m7qdab_AbC-defGhijKlmnopQr_tuvwxyz0123456789aBcDef_"
ACCOUNT_KEY += f"{zlib.crc32(ACCOUNT_KEY[:-1].encode()):08x}"
JWT = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'ann'})}.c2lnbmF0dXJl"
BODY = "MIIEpAIBAAKCAQEA7bq1\nabcdefghijklmnopqrst0123+/\nabcd==\n"
# Each is put together here, so that nobody's scanner takes this file for a leak.
SAMPLES = {
    "ANTHROPIC_KEY": ["sk-ant-" + "api03-abcdefghijklmnopqrstuvwxyz012345-AA"],
    "ASSIGNED_SECRET": ["h8Jk2LmP9qR-x", "abc123DEF456ghi"],
    "AWS_ACCESS_KEY": ["AKIA" + "IOSFODNN7EXAMPLE"],
    "AWS_SECRET_KEY": ["wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"],
    "AZURE_KEY": [
        "abc8Q~" + "abcdefghijklmnopqrstuvwxyz01234",
    ],
    "CARD_SECURITY_CODE": ["1234"],
    "CONNECTION_STRING": ["postgresql://app:" + "s3cr3t@db.internal:5432/x?y=1", "amqp://:" + "pw@mq"],
    "GITHUB_TOKEN": ["ghs_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6", "github_pat_" + "11ABCDEFG0" * 7],
    "GITLAB_TOKEN": ["glpat-" + "abcdefghij1234567890"],
    "GOOGLE_KEY": ["AIza" + "SyD-1234567890abcdefghijklmnopqrstu"],
    "HOOPGUARD_KEY": [ACCOUNT_KEY],
    "HUGGINGFACE_TOKEN": ["hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"],
    "JWT": [JWT, f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}..aXY.Y3Q.dGFn"],
    "NPM_TOKEN": ["npm_" + "abcdefghijklmnopqrstuvwxyz0123456789"],
    "OPENAI_KEY": ["sk-proj-" + "abcdefghijklmnop1234567890"],
    "PRIVATE_KEY": [
        f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{BODY}-----END RSA PRIVATE KEY-----",
        f"-----BEGIN {'PRIVATE'} KEY-----\\n{BODY}".replace("\n", "\\n") + "-----END PRIVATE KEY-----",
        f"-----BEGIN EC {'PRIVATE'} KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n{BODY}"
        "-----END EC PRIVATE KEY-----",
        f"-----BEGIN PGP {'PRIVATE'} KEY BLOCK-----\nVersion: 2\n\n{BODY}=abcd\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
    "PROVIDER_TOKEN": ["SG." + "abcdefghijklmnopqrstuv." + "abcdefghijklmnopqrstuvwxyz0123456789abcdefg"],
    "PYPI_TOKEN": ["pypi-AgE" + "IcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAx"],
    "SLACK_TOKEN": [
        "xoxb-" + "123456789012-abcdefGHIJKL",
        "https://hooks.slack.com/" + "services/T0AB/B0CD/abcdefghij0123456789",
    ],
    "STRIPE_KEY": ["sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"],
}
ASSIGNED = {
    "ASSIGNED_SECRET": ('password = "', '"'),
    "AWS_SECRET_KEY": ("aws_secret_access_key=", ""),
    "CARD_SECURITY_CODE": ("cvv: ", ""),
}
PLACED = [
    ("AZURE_KEY", "AccountKey=", ";", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG" * 2 + "=="),
    *((entity, *ASSIGNED.get(entity, ("", "")), sample) for entity, samples in SAMPLES.items() for sample in samples),
]


@pytest.mark.parametrize(("entity", "before", "after", "sample"), PLACED)
@pytest.mark.parametrize("frame", ["{}", "a {}\nb", "({})", "see {}, ok", "'{}'"])
def test_every_kind_of_secret_is_hidden_and_what_is_around_it_stays(
    entity: str, before: str, after: str, sample: str, frame: str
) -> None:
    left, right = frame.split("{}")
    masked = RULES.mask(f"{left}{before}{sample}{after}{right}")
    assert masked.text == f"{left}{before}<{entity}>{after}{right}"
    assert masked.counts == {entity: 1}


pieces_of_text = st.one_of(
    st.sampled_from([f"{before}{sample}{after}" for _, before, after, sample in PLACED]),
    st.sampled_from([sample[: len(sample) // 2] for *_, sample in PLACED]),
    st.sampled_from(
        ["password: '", 'secret="', "TOKEN=", "://", "sk-", "eyJ", "ordinary words", "-----BEGIN PRIVATE KEY"]
    ),
    st.text(alphabet="aA1_-.:=/@\"' \n", max_size=12),
)
leaky = st.lists(st.tuples(pieces_of_text, st.sampled_from([" ", "", "\n", "'", '"', ";"])).map("".join), max_size=7)


@settings(max_examples=150, deadline=None)
@given(text=leaky.map("".join), pieces=sizes)
def test_secrets_are_hidden_in_streams_as_in_the_whole_however_cut(text: str, pieces: list[int]) -> None:
    assert streamed(RULES.stream(), cut(text, pieces)) == RULES.mask(text).text


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn and task-force",
        "ghp_" + "x" * 36,
        "the eyJhbGciOiJI.is.nojwt",
        "eyJmb28iOiJiYXIifQ.e30.abc",
        "postgresql://app:${PASSWORD}@db/x",
        "https://user:****@example.com/",
        'password = "correct horse"',
        "password = os.environ['DB_PASSWORD_2024']",
        'token = "{token}"',
        "TOKEN=$GITHUB_TOKEN_123456",
        "-----BEGIN PUBLIC KEY-----\nMIIEpAIBAAKCAQEA7bq1\n-----END PUBLIC KEY-----",
        f"A PEM file begins with -----BEGIN {'PRIVATE'} KEY-----, then come lines.",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert RULES.mask(text).text == text


def test_a_token_with_a_right_checksum_is_certain_and_one_with_a_wrong_one_is_hidden_still() -> None:
    assert crc_base62(CHECKED)
    wrong = CHECKED[:-1] + "x"
    assert not crc_base62(wrong)
    assert (SURE.mask(CHECKED).text, SURE.mask(wrong).text) == ("<GITHUB_TOKEN>", wrong)
    assert (RULES.mask(CHECKED).text, RULES.mask(wrong).text) == ("<GITHUB_TOKEN>", "<GITHUB_TOKEN>")


def test_a_key_of_an_account_is_certain_by_its_checksum_and_a_mistyped_one_is_hidden_still() -> None:
    wrong = ACCOUNT_KEY.replace("AbC", "AbD")
    assert (SURE.mask(ACCOUNT_KEY).text, SURE.mask(wrong).text) == ("<HOOPGUARD_KEY>", wrong)
    assert RULES.mask(wrong).text == "<HOOPGUARD_KEY>"


def test_a_private_key_that_was_cut_off_is_hidden() -> None:
    assert RULES.mask(f"-----BEGIN {'PRIVATE'} KEY-----\n{BODY[:30]}").text == "<PRIVATE_KEY>"


def test_prose_with_secrets_in_the_pack_is_held_back_by_no_more_than_the_current_word() -> None:
    stream, prose, shown = RULES.stream(), "Please keep my password to yourself and send a token later", ""
    for place, char in enumerate(prose, 1):
        shown += stream.feed(char)
        assert stream.held_chars <= place - (prose.rfind(" ", 0, place) + 1)
    assert shown + stream.finish() == prose


def test_the_pack_of_secrets_is_what_there_is() -> None:
    assert set(PACKS["pack:secrets"]) == set(SECRETS)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ann@corp.internal", "<EMAIL_ADDRESS>"),
        ("bob@host.lan, ok", "<EMAIL_ADDRESS>, ok"),
        ("joe@localhost.", "<EMAIL_ADDRESS>."),
        ("a.b+c@x.y.home.arpa", "<EMAIL_ADDRESS>"),
        ("git@local", "<EMAIL_ADDRESS>"),
        ("@local decorator, a@locale", "@local decorator, a@locale"),
        ("x@local.8", "x@local.8"),
        ("2223 0031 2200 3222", "<CREDIT_CARD>"),
        ("2223003122003223", "2223003122003223"),
        ("2001:db8::8a2e:370:7334, ok", "<IP_ADDRESS>, ok"),
        ("at fe80::1%eth0: down", "at <IP_ADDRESS>: down"),
        ("::ffff:10.1.2.3", "<IP_ADDRESS>"),
        ("6304-0000-0000-0000-000", "<CREDIT_CARD>"),
        ("6304000000000000001", "6304000000000000001"),
        ("4111 1111 1111 1111 2024", "<CREDIT_CARD> 2024"),
        ("1999 4111 1111 1111 1111", "1999 <CREDIT_CARD>"),
        ("1041 4111-1111-1111-1111 12/26", "1041 <CREDIT_CARD> 12/26"),
        ("1041 3782 822463 10005", "1041 <CREDIT_CARD>"),
        ("4000 4111 1111 1111 1112", "4000 4111 1111 1111 1112"),
    ],
)
def test_internal_and_short_addresses_and_further_cards_are_found_beside_presidios(text: str, masked: str) -> None:
    assert PII.mask(text).text == masked
    assert streamed(PII.stream(), list(text)) == masked
