"""Packs: names for the entities that one usually wants hidden together.

Left out on purpose, for they drown what matters: URL, which finds ``self.st`` in every program, and
US_DRIVER_LICENSE, which finds ``A1`` and ``H1`` where the threshold is low.
"""

from typing import Final

_PII: Final = (
    "CREDIT_CARD",
    "CRYPTO",
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "IP_ADDRESS",
    "PHONE_NUMBER",
    "US_ITIN",
    "US_SSN",
)
_PCI: Final = ("ABA_ROUTING_NUMBER", "CARD_SECURITY_CODE", "CREDIT_CARD", "IBAN_CODE")
_HEALTH: Final = ("MEDICAL_LICENSE", "UK_NHS", "US_MBI", "US_NPI")
_SECRETS: Final = (
    "ANTHROPIC_KEY",
    "ASSIGNED_SECRET",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AZURE_KEY",
    "CONNECTION_STRING",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "GOOGLE_KEY",
    "HOOPGUARD_KEY",
    "HUGGINGFACE_TOKEN",
    "JWT",
    "NPM_TOKEN",
    "OPENAI_KEY",
    "PRIVATE_KEY",
    "PROVIDER_TOKEN",
    "PYPI_TOKEN",
    "SLACK_TOKEN",
    "STRIPE_KEY",
)

PACKS: Final = {"pack:health": _HEALTH, "pack:pci": _PCI, "pack:pii": _PII, "pack:secrets": _SECRETS}


def entities_of(entries: tuple[str, ...]) -> frozenset[str]:
    """Return the entities that are left when packs are unfolded and every ``-NAME`` is taken away, in order."""
    named: set[str] = set()
    for entry in entries:
        if entry.startswith("-"):
            named.discard(entry[1:])
        else:
            named.update(PACKS.get(entry, (entry,)))
    return frozenset(named)
