"""What every table of policy.toml shares."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Direction = Literal["request", "response", "both"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Words = tuple[Annotated[str, Field(min_length=1)], ...]
SomeWords = Annotated[Words, Field(min_length=1)]


class Table(BaseModel):
    """One table of the policy: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )
