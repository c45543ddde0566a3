"""How commands speak."""

import json

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.cli.output import complain, fail, print_json, print_rows, say
from hoopguard.cli.terminal import visible

STEERING = "\x00\x07\x08\x1b\x7f\x9b\u061c\u200b\u200e\u202e\u2066\u2028\u2029\ufeff\U000e0041\r"


@given(st.text() | st.text(alphabet=STEERING + "ab"))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    """And a text without it stays as it is."""
    shown = visible(text)
    assert visible(shown) == shown
    assert not set(shown) & set(STEERING)
    shown.encode("utf-8")
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\x0ab"),
        ("\u202e", "\\u202e"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
        ("größer 日本 \U0001f600", "größer 日本 \U0001f600"),
    ],
)
def test_what_steers_is_shown_as_an_escape(text: str, shown: str) -> None:
    """In a notation that everybody knows."""
    assert visible(text) == shown


def test_errors_and_hints_go_to_stderr_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Markup is text, control characters are escapes, long lines are not broken in a pipe."""
    complain("no [bold]such\x1b[0m thing: " + "x" * 500, hint="try [link=http://evil]this[/]")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: no [bold]such\\x1b[0m thing: {'x' * 500}\nhint: try [link=http://evil]this[/]\n"


def test_without_a_hint_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty hint is none."""
    complain("no")
    assert capsys.readouterr().err == "error: no\n"


def test_failing_leaves_with_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    """2 unless said otherwise."""
    with pytest.raises(typer.Exit) as left:
        fail("no")
    assert left.value.exit_code == 2
    with pytest.raises(typer.Exit) as left:
        fail("no", code=1)
    assert left.value.exit_code == 1
    assert capsys.readouterr().err == "error: no\n" * 2


def test_rows_are_not_cut_off_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a row, however long; markup and control characters do nothing."""
    print_rows(("name", "what"), [("a", "x" * 5000), ("[red]b[/]", "\x1b[31m\u202e"), (7, None)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["name", "what"]
    assert lines[1].split() == ["a", "x" * 5000]
    assert lines[2].split() == ["[red]b[/]", "\\x1b[31m\\u202e"]
    assert lines[3].split() == ["7", "None"]


def test_a_message_is_one_line_unless_its_own_breaks_may_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else in it moves the cursor."""
    say("one [b]\ntwo\r\x1b")
    say("one [b]\ntwo\r\x1b", keep="\n")
    assert capsys.readouterr().out == "one [b]\\x0atwo\\x0d\\x1b\none [b]\ntwo\\x0d\\x1b\n"


def test_json_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Readable by any JSON parser."""
    print_json({"a": ["ü", 1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": ["ü", 1, None]}


@pytest.mark.parametrize("hostile", ["\x1b]0;x\x07", "\x9b2J", "\u202e", "\x7f"])
def test_json_on_a_terminal_does_not_steer_it(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded text may come from anybody, and ``--json`` is looked at on terminals too."""
    print_json({"name": hostile})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": hostile}
    assert not set(out) & set(hostile) & set("\x1b\x07\x9b\u202e\x7f")
