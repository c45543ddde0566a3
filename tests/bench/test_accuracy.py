"""The accuracy report counts right: what is hidden in part only is a miss, what is hidden for nothing is wrong."""

import random

from bench.accuracy import Text, judge, looking, made
from bench.values import MAKERS, NAMES
from hoopguard.masking.findings import Finding

TEXT = Text("bob@example.com 10.0.0.1 and more", (("EMAIL_ADDRESS", 0, 15), ("IP_ADDRESS", 16, 24)))


def test_hits_misses_and_wrong_findings_are_told_apart() -> None:
    found = [
        Finding("EMAIL_ADDRESS", 0, 14, 1.0),  # nearly all of it
        Finding("EMAIL_ADDRESS", 25, 28, 1.0),  # nothing is there
        Finding("IP_ADDRESS", 16, 18, 1.0),  # a small part
        Finding("US_SSN", 16, 24, 1.0),  # something else is there, which is hidden with it
        Finding("URL", 25, 28, 1.0),  # not asked about
    ]
    scores = judge([TEXT], lambda text: found)
    counted = {entity: (score.hits, score.missed, score.wrong) for entity, score in scores.items()}
    assert counted["EMAIL_ADDRESS"] == (1, 0, 1)
    assert counted["IP_ADDRESS"] == (0, 1, 0)
    assert counted["US_SSN"] == (0, 0, 0)
    assert (scores["EMAIL_ADDRESS"].precision, scores["EMAIL_ADDRESS"].recall) == (0.5, 1.0)
    assert scores["EMAIL_ADDRESS"].f2 == 5 / 6
    assert scores["IP_ADDRESS"].f2 == 0.0


def test_patterns_find_all_that_has_a_shape_and_no_name() -> None:
    randomness = random.Random(7)
    scores = judge([made(randomness) for _ in range(150)], looking((), 0.4))
    assert {entity for entity, score in scores.items() if score.missed} == NAMES
    assert all(score.hits for entity, score in scores.items() if entity not in NAMES)
    assert set(scores) == set(MAKERS)
