"""What detection finds of what is there: precision, recall and F2 by entity, on text made from our own templates.

    make accuracy [ARGS="--texts 2000 --engine spacy --model FOLDER"]

Values are made here, in the forms in which people write them; templates are ours too, so these are the figures of a
fair exam, not of your own text. A finding counts if it has the entity's name and covers at least three quarters of what
it and the value cover together; one that only touches something else that is there is not wrong, for both are hidden as
one. F2 weighs recall double, for a miss leaks. Names and places are in the texts whether a
model is there to find them or not.
"""

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import values
from hoopguard.masking.detector import Budget, Detector, Finding
from hoopguard.policy.masking import Recogniser
from hoopguard.policy.nlp import Masking as MaskingTable
from hoopguard.policy.nlp import Nlp

_TEMPLATES: Final = (
    "Hi, this is {PERSON} from {LOCATION}. You can reach me at {EMAIL_ADDRESS} or {PHONE_NUMBER}.",
    "Please charge {CREDIT_CARD}, it belongs to {PERSON}.",
    "{PERSON} moved to {LOCATION} in 2019 and works for the city now.",
    "Transfer 300 EUR to {IBAN_CODE} by Friday, order no. 48213.",
    "The host {IP_ADDRESS} refused the connection 17 times between 08:00 and 09:30.",
    "ssn: {US_SSN}, name: {PERSON}, phone: {PHONE_NUMBER}",
    "From: {EMAIL_ADDRESS}\nTo: {EMAIL_ADDRESS}\nSubject: invoice 2024-118\n\nDear {PERSON}, see the invoice.",
    "id,name,email,card\n1041,{PERSON},{EMAIL_ADDRESS},{CREDIT_CARD}\n1042,{PERSON},{EMAIL_ADDRESS},{CREDIT_CARD}",
    "export API_TOKEN={GITHUB_TOKEN}\ncurl -H 'Authorization: Bearer {JWT}' https://example.org/v1/items",
    "DATABASE_URL={CONNECTION_STRING}",
    "aws configure set aws_access_key_id {AWS_ACCESS_KEY}",
    "Call {PHONE_NUMBER} and ask for {PERSON}; the meeting is on 12 May, room 4.17, version 2.10.3 of the plan.",
    "The build took 1,204 s, wrote 48,113,208 bytes and 3 warnings; commit 3f786850e387550fdab836ed7e6dc881de23001b.",
    "He paid 1,299.00 on 2024-03-01, order 4000-1234-5678, and we shipped it to {LOCATION}.",
)
_ENOUGH: Final = 0.75


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and what there is to find in it: entity, start, end."""

    text: str
    there: tuple[tuple[str, int, int], ...]


def made(randomness: random.Random) -> Text:
    """Return a template with values in it."""
    text, there = "", []
    for part in randomness.choice(_TEMPLATES).split("{"):
        entity, brace, rest = part.partition("}")
        if not brace:
            text += part
            continue
        value = values.MAKERS[entity](randomness)
        there.append((entity, len(text), len(text) + len(value)))
        text += value + rest
    return Text(text, tuple(there))


@dataclass(slots=True)
class Score:
    """Counts of one entity."""

    hits: int = 0
    missed: int = 0
    wrong: int = 0

    @property
    def precision(self) -> float:
        """Return the share of the findings that is right; not a number if there is none."""
        return self.hits / (self.hits + self.wrong) if self.hits + self.wrong else math.nan

    @property
    def recall(self) -> float:
        """Return the share of what is there that was found."""
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else math.nan

    @property
    def f2(self) -> float:
        """Return their mean, recall weighed double."""
        return 5 * self.hits / (5 * self.hits + 4 * self.missed + self.wrong) if self.hits else 0.0


def judge(texts: list[Text], look: Callable[[str], list[Finding]]) -> dict[str, Score]:
    """Return each entity's score."""
    scores = {entity: Score() for entity in sorted(values.MAKERS)}
    for text in texts:
        found = Counter((f.entity, f.start, f.end) for f in look(text.text) if f.entity in scores)
        for entity, start, end in text.there:
            hit = next((f for f in found if f[0] == entity and _overlap(f[1], f[2], start, end) >= _ENOUGH), None)
            scores[entity].hits += hit is not None
            scores[entity].missed += hit is None
            if hit is not None:
                del found[hit]
        for entity, start, end in found:
            scores[entity].wrong += not any(_overlap(start, end, *place) for _, *place in text.there)
    return scores


def _overlap(start: int, end: int, other_start: int, other_end: int) -> float:
    shared = min(end, other_end) - max(start, other_start)
    return max(0, shared) / (max(end, other_end) - min(start, other_start))


def report(title: str, scores: dict[str, Score]) -> None:
    """Print one table."""
    print(f"\n{title}\n{'entity':<20}{'there':>7}{'precision':>11}{'recall':>8}{'F2':>7}")
    for entity, score in scores.items():
        there = score.hits + score.missed
        print(f"{entity:<20}{there:>7}{score.precision:>11.3f}{score.recall:>8.3f}{score.f2:>7.3f}")


def looking(custom: tuple[Recogniser, ...], threshold: float) -> Callable[[str], list[Finding]]:
    """Return what finds entities by patterns, and by a model if there is one among the recognisers."""
    by_model = {recogniser.entity for recogniser in custom}
    detector = Detector(frozenset(values.MAKERS) - values.NAMES | by_model, custom)

    def look(text: str) -> list[Finding]:
        return [finding for finding in detector.detect(text, budget=Budget(60)) if finding.score >= threshold]

    return look


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threshold", type=float, default=0.4, help="the policy's default")
    parser.add_argument("--engine", choices=("gliner", "spacy", "stanza", "transformers"), default="spacy")
    parser.add_argument("--model", type=Path, help="a model's folder, for the second table")
    asked = parser.parse_args()
    randomness = random.Random(asked.seed)
    texts = [made(randomness) for _ in range(asked.texts)]
    report("patterns only (they cannot find names)", judge(texts, looking((), asked.threshold)))
    if asked.model is not None:
        models = MaskingTable(nlp=Nlp(engine=asked.engine, model=str(asked.model.resolve()))).models(values.NAMES)
        report(f"patterns and {asked.model.name}", judge(texts, looking(models, asked.threshold)))
    else:
        print("\nWith a model: make accuracy ARGS='--engine spacy --model FOLDER'")


if __name__ == "__main__":
    main()
