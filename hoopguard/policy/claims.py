"""How policy.toml names the claims of a token, and what it demands of them."""

from typing import Annotated

from pydantic import AfterValidator, Field

from hoopguard.policy.paths import parse_path


def _claim_name(source: str) -> str:
    if source.startswith("$") and any(segment.deep for segment in parse_path(source).segments):
        raise ValueError("expected a path without ..; a claim could then stand where nobody meant it to")
    return source


ClaimName = Annotated[str, Field(min_length=1), AfterValidator(_claim_name)]
"""A claim by its name, a dotted path (``realm_access.roles``), or a path such as ``$['kubernetes.io'].namespace``."""

RequiredClaims = dict[ClaimName, Annotated[str, Field(min_length=1)]]
"""Claims that have to be there, each with the glob that one of its values has to match."""
