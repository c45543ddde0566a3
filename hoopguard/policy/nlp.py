"""``[masking]``: what holds for masking as a whole, such as the language model that finds names."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from hoopguard.policy.masking import Recogniser
from hoopguard.policy.table import Table
from hoopguard.policy.values import DurationS, policy_folder

Languages = tuple[str, ...]
"""ISO 639-1 codes, each once, in order."""
ENGLISH: Final[Languages] = ("en",)

Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
Entity = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]
_LABELS: Final = (
    ("DATE", "DATE_TIME"),
    ("GPE", "LOCATION"),
    ("LOC", "LOCATION"),
    ("LOCATION", "LOCATION"),
    ("NORP", "NRP"),
    ("ORG", "ORGANIZATION"),
    ("ORGANIZATION", "ORGANIZATION"),
    ("PER", "PERSON"),
    ("PERSON", "PERSON"),
    ("TIME", "DATE_TIME"),
)
"""What models call things, and what Presidio does."""


def _folder(value: str, info: ValidationInfo) -> str:
    path = policy_folder(info) / value
    if not path.is_dir():
        raise ValueError(f"expected the model's folder at {path}; nothing is downloaded")
    return str(path.resolve())


def _with_english(value: Languages) -> Languages:
    return tuple(sorted({*value, *ENGLISH}))


def _pairs(value: object) -> object:
    return tuple(sorted(value.items())) if isinstance(value, dict) else value


class Nlp(Table):
    """``[masking.nlp]``: a language model on disk that finds what patterns cannot, names above all."""

    engine: Literal["gliner", "spacy", "stanza", "transformers"]
    model: Annotated[str, AfterValidator(_folder)]
    language: Language = "en"
    score: Annotated[float, Field(gt=0, le=1)] = 0.85
    sentence_chars: Annotated[int, Field(ge=40, le=2_000)] = 400
    stream_hold_s: Annotated[DurationS, Field(alias="stream_hold", gt=0, le=10)] = 0.05
    labels: Annotated[tuple[tuple[str, Entity], ...], BeforeValidator(_pairs)] = ()

    @property
    def mapping(self) -> dict[str, str]:
        """Return which entity each of the model's labels is: the usual ones, and those of the policy."""
        return {**dict(_LABELS), **dict(self.labels)}

    @property
    def entities(self) -> frozenset[str]:
        """Return the entities that the model finds."""
        return frozenset(self.mapping.values())


class ModelRecogniser(Recogniser):
    """An entity that the model finds; the policy's rules name it like any other."""

    nlp: Nlp

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        return self


class Masking(Table):
    """``[masking]``: what holds for masking as a whole."""

    languages: Annotated[tuple[Language, ...], AfterValidator(_with_english)] = ENGLISH
    nlp: Nlp | None = None

    def models(self, entities: frozenset[str]) -> tuple[ModelRecogniser, ...]:
        """Return the recognisers of those among some entities that the language model finds."""
        if self.nlp is None:
            return ()
        found = sorted(entities & self.nlp.entities)
        return tuple(ModelRecogniser(name=f"nlp-{entity.lower()}", entity=entity, nlp=self.nlp) for entity in found)
