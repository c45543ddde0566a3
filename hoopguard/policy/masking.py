"""What policy.toml can say about masking: ``[[recogniser]]``, ``[[mask]]`` and its operators."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hoopguard.policy.packs import PACKS, entities_of
from hoopguard.policy.paths import PathText
from hoopguard.policy.table import Direction, Name, Table, Words
from hoopguard.policy.values import PatternText, SecretText, words_of_file

Checksum = Literal["luhn", "mod11", "mod11_10", "mod97", "verhoeff"]
ListedWords = Annotated[Words, BeforeValidator(words_of_file)]
"""In the policy a file's name; here the words and phrases that are in it."""


class Replace(Table):
    """``{ replace = … }``: put a fixed text in place of what was found; ``<ENTITY>`` by default."""

    new_value: Annotated[str | None, Field(alias="with")] = None


class MaskChars(Table):
    """``{ mask = … }``: hide the characters, save the last few."""

    char: Annotated[str, Field(min_length=1, max_length=1)] = "*"
    keep_last: Annotated[int, Field(ge=0, le=64)] = 0


class Hash(Table):
    """``{ hash = … }``: a keyed SHA-256, so that equal values stay equal and cannot be guessed."""

    key: SecretText

    @field_validator("key")
    @classmethod
    def _long_key(cls, value: Any) -> Any:
        if len(value.reveal()) < 16:
            raise ValueError("expected a key of at least 16 characters")
        return value


class Encrypt(Table):
    """``{ encrypt = … }``: AES-SIV, which ``hoopguard reveal`` undoes with the same key."""

    key: SecretText

    @field_validator("key")
    @classmethod
    def _long_key(cls, value: Any) -> Any:
        if len(value.reveal()) < 32:
            raise ValueError("expected a key of at least 32 characters, such as `openssl rand -hex 32` prints")
        return value


class Operator(Table):
    """``operator``: one of replace, mask, hash, redact, encrypt, pseudonym."""

    replace: Replace | None = None
    mask: MaskChars | None = None
    hash: Hash | None = None
    encrypt: Encrypt | None = None
    redact: bool | None = None
    pseudonym: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        by_name: dict[str, dict[str, object]] = {
            "replace": {"replace": {}},
            "mask": {"mask": {}},
            "redact": {"redact": True},
            "pseudonym": {"pseudonym": True},
        }
        if value == "hash":
            raise ValueError('expected { hash = { key = "${env:…}" } }: a hash without a key can be guessed')
        if value == "encrypt":
            raise ValueError('expected { encrypt = { key = "${env:…}" } }: without a key nobody could read it again')
        if value not in by_name:
            raise ValueError(
                f'expected "replace", "mask", "redact", "pseudonym", {{ hash = … }} or {{ encrypt = … }}, not {value!r}'
            )
        return by_name[value]

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        chosen = [self.replace, self.mask, self.hash, self.encrypt, self.redact, self.pseudonym]
        if sum(each is not None for each in chosen) != 1 or False in (self.redact, self.pseudonym):
            raise ValueError("expected exactly one of replace, mask, hash, encrypt, redact = true, pseudonym = true")
        return self


class Mask(Table):
    """``[[mask]]``: which entities are hidden, in which direction, and how."""

    name: Name
    on: Direction = "both"
    entities: Words = Field(default=(), min_length=1)
    fields: Annotated[tuple[PathText, ...], Field(min_length=1)] | None = None
    operator: Operator = Operator(replace=Replace())
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.4
    connections: Words = ()

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if bool(self.entities) == bool(self.fields):
            raise ValueError("expected either entities, wherever they stand, or fields, whatever stands in them")
        return self

    @model_validator(mode="after")
    def _packs_exist(self) -> Self:
        for position, entry in enumerate(self.entities):
            if entry.startswith("pack:") and entry not in PACKS:
                raise ValueError(f"expected a pack out of {', '.join(PACKS)}, not {entry!r}")
            if entry.startswith("-") and entry[1:] not in entities_of(self.entities[:position]):
                raise ValueError(f"expected {entry!r} to take away an entity named before it")
        if self.entities and not self.resolved_entities:
            raise ValueError("expected at least one entity to be left; this rule can never match")
        return self

    @property
    def resolved_entities(self) -> frozenset[str]:
        """Return the entity names that remain once packs are unfolded and ``-NAME`` taken away."""
        return entities_of(self.entities)


class Recogniser(Table):
    """``[[recogniser]]``: an entity of the operator's own, by pattern or by list."""

    name: Name
    entity: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]
    patterns: tuple[PatternText, ...] = ()
    deny_list: Words = ()
    deny_list_file: ListedWords = ()
    checksum: Annotated[Checksum | None, Field(alias="validate")] = None
    score: Annotated[float, Field(gt=0, le=1)] = 0.6
    context: Words = ()

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if not self.patterns and not self.deny_list and not self.deny_list_file:
            raise ValueError("expected patterns, deny_list or deny_list_file; a recogniser without can never match")
        if self.checksum is not None and not self.patterns:
            raise ValueError("expected patterns together with validate, which checks what they match")
        return self
