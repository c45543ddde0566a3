"""Law 6: however a text is cut, its stream gives what masking the whole gives, and holds back as little as it can."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import CONTEXT, ENTITIES, EVERYTHING, LAZY_RULES, cut, masker, sizes, streamed, texts

from hoopguard.masking import streaming
from hoopguard.masking.detector import Budget, DetectionGaveUp
from hoopguard.masking.masker import Masker
from hoopguard.pace import Load, Pace

EVERY_ENTITY = masker({"name": "all", "entities": EVERYTHING, "threshold": 0.01})
BY_RULES = masker(*LAZY_RULES)
DEFAULT = masker({"name": "pii", "entities": ("pack:pii",)}, recognisers=())
PROSE = "My name is Ann and I like tea"

every_masker = pytest.mark.parametrize(
    "rules", [EVERY_ENTITY, BY_RULES, DEFAULT], ids=["every entity", "several rules", "default"]
)


@every_masker
@settings(max_examples=120, deadline=None)
@given(text=texts, pieces=sizes)
def test_a_streamed_text_is_the_masked_text_however_it_is_cut(rules: Masker, text: str, pieces: list[int]) -> None:
    stream = rules.stream()
    whole = rules.mask(text)
    assert streamed(stream, cut(text, pieces)) == whole.text
    assert dict(stream.counts) == whole.counts


@every_masker
@pytest.mark.parametrize(
    "frame", ["{}", "{}\n", "a {} b", "({})", "{}.", "{},{}", "{} {}", "{}{}", "x{}", "{}9", "{}-{}"]
)
def test_each_entity_in_each_frame_streams_as_it_is_masked(rules: Masker, frame: str) -> None:
    for entity in ENTITIES:
        text = frame.replace("{}", entity)
        assert streamed(rules.stream(), list(text)) == rules.mask(text).text


@every_masker
@pytest.mark.parametrize(
    "between", [" ", " is ", ": ", "\n", " one two three four ", " one two three four five ", " ;" * 200]
)
def test_context_words_count_in_a_stream_as_in_the_whole(rules: Masker, between: str) -> None:
    for word in CONTEXT:
        text = "long ago " * 60 + "".join(
            f"{word}{between}{entity} and " for entity in ENTITIES[:: len(between) // 50 + 1]
        )
        assert streamed(rules.stream(), cut(text, [3, 1, 8])) == rules.mask(text).text


def test_a_context_word_that_has_long_been_shown_still_lifts_the_score() -> None:
    stream = masker({"name": "sure", "entities": ("PHONE_NUMBER",), "threshold": 0.75}).stream()
    assert stream.feed("So call my phone, ") == "So call my phone, "
    assert stream.feed("(415) 867-5309 ") + stream.finish() == "<PHONE_NUMBER> "


def test_plain_prose_is_held_back_by_no_more_than_the_current_word() -> None:
    stream = DEFAULT.stream()
    shown = ""
    for place, char in enumerate(PROSE):
        shown += stream.feed(char)
        so_far = PROSE[: place + 1]
        assert stream.held_chars <= len(so_far) - (so_far.rfind(" ") + 1)
        assert shown == so_far[: len(so_far) - stream.held_chars]
    assert shown + stream.finish() == PROSE


_words = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9)
_prose = st.lists(
    st.tuples(_words | _words.map(str.capitalize), st.sampled_from([" ", " ", " ", ", ", "; ", "\n", "! ", "? "])),
    min_size=1,
    max_size=25,
).map(lambda pairs: "".join(word + after for word, after in pairs))


@settings(max_examples=100, deadline=None)
@given(text=_prose, pieces=sizes)
def test_prose_however_it_is_cut_is_held_back_by_no_more_than_the_word_it_ends_in(text: str, pieces: list[int]) -> None:
    stream = DEFAULT.stream()
    so_far = ""
    for piece in cut(text, pieces):
        so_far += piece
        stream.feed(piece)
        assert stream.held_chars <= len(so_far) - 1 - max(so_far.rfind(" "), so_far.rfind("\n"))


def test_the_first_word_is_shown_before_the_second_is_complete() -> None:
    stream = DEFAULT.stream()
    assert stream.feed("Hello") == ""
    assert stream.feed(" wor") == "Hello "


@pytest.mark.parametrize(
    ("so_far", "held"),
    [
        ("write to bob@", "bob@"),
        ("write to bob@example.com", "bob@example.com"),
        ("my card is 4111 1111 ", "4111 1111 "),
        ("a DE89 3704 0044 05", "DE89 3704 0044 05"),
        ("ring (415) 867-5309 ", "(415) 867-5309 "),
        ("that is all.", "all."),
        ("that is all. ", ""),
        ("that is all, ", ""),
        ("line\n", ""),
    ],
)
def test_held_back_is_what_could_still_become_an_entity(so_far: str, held: str) -> None:
    stream = DEFAULT.stream()
    assert stream.feed(so_far) == so_far.removesuffix(held)
    assert stream.held_chars == len(held)


def test_a_deny_list_phrase_is_held_only_while_it_can_still_be_one() -> None:
    stream = masker({"name": "p", "entities": ("PROJECT",)}).stream()
    assert stream.feed("the Blue W") == "the "
    assert stream.feed("ater") == "Blue Water"
    assert stream.feed(" Blue Whale") == " "
    assert stream.feed("!") == "<PROJECT>!"


def test_what_a_stream_keeps_does_not_grow_with_its_length() -> None:
    stream = DEFAULT.stream()
    for _ in range(300):
        stream.feed("The quick brown fox, 7 of 12, mails bob@example.com. ")
    assert len(stream._window) < 500


def test_a_stream_ends_when_more_than_the_policy_allows_would_be_held() -> None:
    stream = masker({"name": "p", "entities": ("pack:pii",)}, max_held_chars=256).stream()
    for _ in range(256):
        stream.feed("x")
    with pytest.raises(DetectionGaveUp, match="256"):
        stream.feed("x")


def test_a_table_of_numbers_streams_to_its_end() -> None:
    text = " ".join(str(number / 7) for number in range(1, 300))
    assert streamed(DEFAULT.stream(), cut(text, [4])) == DEFAULT.mask(text).text


def test_a_piece_of_any_length_is_cut_up_and_gives_the_same() -> None:
    text = "The quick brown fox, 7 of 12, mails bob@example.com, or rings (415) 867-5309. " * 60
    stream = DEFAULT.stream()
    assert stream.feed(text) + stream.finish() == DEFAULT.mask(text).text
    assert stream.scans > len(text) // 1024


def test_a_piece_that_never_ends_is_given_up_before_it_is_looked_at_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    look = DEFAULT.detector.pending_from

    def note(text: str, start: int, *, budget: Budget) -> int:
        looked_at.append(len(text))
        return look(text, start, budget=budget)

    monkeypatch.setattr(DEFAULT.detector, "pending_from", note)
    with pytest.raises(DetectionGaveUp):
        DEFAULT.stream().feed("x" * 1_000_000)
    assert max(looked_at) <= 16_384 + 1024


def test_many_small_pieces_of_dear_text_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_CHEAP_SCAN_S", -0.05)  # as if every scan took so much longer
    text = "(415) 867-5309 " * 200
    stream = DEFAULT.stream()
    assert streamed(stream, cut(text, [4])) == DEFAULT.mask(text).text
    assert stream.scans < len(text) / 4 / 4


def test_while_streams_are_busy_prose_is_looked_at_more_characters_at_a_time() -> None:
    load = Load(clock=lambda: 0.0)
    load.add(1.5)
    stream = DEFAULT.stream(Pace(load))
    text = "the quick brown fox jumps over it. " * 200
    assert streamed(stream, cut(text, [4])) == text
    assert stream.scans <= len(text) / 96 + 1


def test_prose_in_small_pieces_passes_in_many_streams_at_once() -> None:
    load = Load()
    text = "the quick brown fox jumps over it. " * 300
    streams = [DEFAULT.stream(Pace(load)) for _ in range(6)]
    out = [""] * 6
    for piece in cut(text, [4]):
        for number, stream in enumerate(streams):
            out[number] += stream.feed(piece)
    assert [so_far + stream.finish() for so_far, stream in zip(out, streams, strict=True)] == [text] * 6


def test_an_empty_piece_changes_nothing() -> None:
    stream = DEFAULT.stream()
    assert stream.feed("") == "" == stream.finish()


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(alphabet="abcdefghij", min_size=1, max_size=9), min_size=1, max_size=30))
def test_words_come_out_as_soon_as_the_next_one_begins(words: list[str]) -> None:
    stream = DEFAULT.stream()
    for word in words:
        stream.feed(word + " ")
        assert stream.held_chars == 0
