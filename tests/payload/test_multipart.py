"""Forms are read with one meaning and written anew from what was read."""

import base64
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final

import httpx
import pytest
from canaries import EMAIL, leaks, masked
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload import openai_audio, openai_images
from hoopguard.payload.fields import read
from hoopguard.payload.multipart import MultipartBody
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.wire import Format

FORM: Final = MultipartBody(files=("file", "image[]"))
TYPE: Final = "multipart/form-data; boundary=b"
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES: Final = st.sampled_from(["model", "prompt", 'a"b', "é", "a;b", "a=b", "x y", "include[]"])
FILES: Final = st.builds(
    lambda name, data: {"filename": name, "type": "audio/wav", "data": base64.b64encode(data).decode()},
    st.sampled_from(["file", "file.wav", "file.mp3"]),
    st.binary(max_size=40) | st.sampled_from([b"\r\n--b--\r\n", b"--hoopguard", b"\r\n\r\n"]),
)


def part(head: str, data: str = "x") -> str:
    return f"--b\r\n{head}\r\n\r\n{data}\r\n"


def form(*parts: str, end: str = "--b--\r\n") -> bytes:
    return ("".join(parts) + end).encode()


def named(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}'


def again(body: dict[str, Any]) -> Any:
    written = FORM.write(body)
    assert FORM.takes(written.content_type)
    return FORM.parse(written.content, written.content_type)


@given(st.dictionaries(NAMES.filter(lambda name: '"' not in name and not name.endswith("[]")), TEXTS), FILES)
def test_what_is_written_is_read_back(fields: dict[str, str], file: dict[str, str]) -> None:
    """Fields, lists and files, whatever they hold."""
    body = {**fields, "include[]": ["a", "b"], "file": file, "image[]": [file, file]}
    assert again(body) == body


@given(TEXTS, FILES)
def test_another_reader_reads_the_same(text: str, file: dict[str, str]) -> None:
    """The standard library's parser of messages finds the same parts."""
    written = FORM.write({"prompt": text, "file": file})
    head = f"Content-Type: {written.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP.clone(utf8=True)).parsebytes(head + written.content)
    parts = [*message.iter_parts()]
    assert [each.get_param("name", header="content-disposition") for each in parts] == ["prompt", "file"]
    assert parts[1].get_content_type() == "audio/wav"


def test_what_httpx_sends_is_read() -> None:
    """The library under the model APIs' own Python clients."""
    files = [("file", ("a.wav", b"RIFF\0", "audio/wav")), ("image[]", ("b", b"", "image/png"))]
    request = httpx.Request("POST", "http://x/", data={"model": "m", "include[]": ["a", "b"]}, files=files)
    assert FORM.parse(request.read(), request.headers["content-type"]) == {
        "model": "m",
        "include[]": ["a", "b"],
        "file": {"filename": "file.wav", "type": "audio/wav", "data": base64.b64encode(b"RIFF\0").decode()},
        "image[]": [{"filename": "file", "type": "image/png", "data": ""}],
    }


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("bob@example.com.wav", "file.wav"),
        ("4111 1111 1111 1111.MP3", "file.mp3"),
        ("Ann Miller", "file"),
        ("x.4111111111111111", "file"),
        ("call.4155550132", "file"),
        ("a.b c", "file"),
        ("", "file"),
        (".ogg", "file.ogg"),
        ("é.é", "file"),
    ],
)
def test_a_files_name_is_not_passed_on(name: str, kept: str) -> None:
    """Only what tells its format: the model does not need the rest."""
    file = {"filename": name, "type": "audio/wav", "data": "AAAA"}
    assert again({"file": file}) == {"file": {**file, "filename": kept}}


def test_a_name_does_not_end_its_header() -> None:
    """Quotes and line breaks of a name, a file's name or its type open no header of their own."""
    evil = 'x"\r\nX-Evil: 1\r\n\r\n'
    written = FORM.write({evil: "v", "file": {"filename": evil, "type": evil, "data": ""}}).content
    assert b"\r\nX-Evil" not in written
    assert written.count(b"\r\n\r\n") == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x",
        b'{"model": "m"}',
        form(part(named("model")), end=""),
        form(part(named("model")), end="--b"),
        form(part("X: y")),
        form(part("Content-Disposition: attachment; name=x")),
        form(part("Content-Disposition: form-data")),
        form(part(named("model")), part(named("model"))),
        form(part(named("model") + "\r\n" + named("prompt"))),
        form(part(named("prompt") + "\r\nContent-Transfer-Encoding: base64")),
        form(part(named("model", '; filename="x"'))),
        form(part(named("model", "; filename=x"))),
        form(*[part(named("a[]"))] * 1001),
        b"--b\r\n" + named("model").encode() + b"\r\n\r\n\xff\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
        b"--b\n" + named("model").encode() + b"\n\nx\n--b--\n",
    ],
    ids=range(17),
)
def test_what_is_no_form_with_one_meaning_is_refused(raw: bytes) -> None:
    """Cut off, nameless, doubled, encoded, a file where a text belongs, not UTF-8, or other line ends."""
    with pytest.raises(BodyError):
        FORM.parse(raw, TYPE)


@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"--b", b"--", b"\r\n", b":", b"x", b'"'])).map(b"".join))
def test_any_bytes_are_a_form_or_refused(raw: bytes) -> None:
    """Nothing else comes out of the parser, whatever comes in."""
    try:
        FORM.parse(raw, TYPE)
    except BodyError:
        return


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        (TYPE, True),
        ('Multipart/Form-Data; boundary="b c"', True),
        ("multipart/form-data", False),
        ("multipart/form-data; boundary=", False),
        ("multipart/mixed; boundary=b", False),
        ("application/json", False),
        ("multipart/form-data; boundary=é", False),
        ("", False),
    ],
)
def test_only_a_form_with_a_boundary_is_taken(content_type: str, taken: bool) -> None:
    """Anything else cannot be read."""
    assert FORM.takes(content_type) is taken


WAV: Final = {"filename": "a.wav", "type": "audio/wav", "data": "UklGRg=="}


def test_a_transcriptions_file_is_opaque_and_its_fields_are_inspected() -> None:
    """Nobody can listen to it; the prompt and the file's name are texts."""
    body = {"model": "whisper-1", "file": {**WAV, "filename": f"{EMAIL}.wav"}, "prompt": f"I am {EMAIL}, write"}
    reading = read(body, openai_audio.REQUEST)
    assert [*reading.opaque] == ["audio"]
    assert {text.value for _, _, text in reading.texts} == {f"{EMAIL}.wav", f"I am {EMAIL}, write"}


@pytest.mark.parametrize("more", [{"file": "text"}, {"response_format": "srt"}, {"response_format": "text"}])
def test_what_would_not_be_answered_with_json_is_refused(more: dict[str, Any]) -> None:
    """Subtitles and bare text have no parts that could be told apart."""
    with pytest.raises(BodyError):
        openai_audio.TRANSCRIPTIONS.model({"model": "m", "file": WAV, **more})
    assert openai_audio.TRANSCRIPTIONS.model({"model": "m", "file": WAV}) == "m"


def test_what_says_a_transcript_again_in_pieces_is_taken_out() -> None:
    """Word by word, and segment by segment, nothing would be found."""
    pieces = [{"word": "bob@", "start": 0.0}, {"word": "example.com", "start": 0.5}]
    body = {"task": "transcribe", "duration": 1.5, "text": f"I am {EMAIL}", "words": pieces, "segments": pieces}
    out = masked(body, openai_audio.ANSWER)
    assert out == {**body, "text": "I am <EMAIL_ADDRESS>", "words": None, "segments": None}
    assert not leaks(out)


def test_an_image_in_an_answer_is_opaque_and_its_prompt_a_text() -> None:
    """An image may show anything."""
    body = {"created": 1763836200, "data": [{"b64_json": "AAAA", "revised_prompt": f"a cat for {EMAIL}"}]}
    reading = read(body, openai_images.ANSWER)
    assert [*reading.opaque] == ["image"]
    assert [text.value for _, _, text in reading.texts] == [f"a cat for {EMAIL}"]


IMAGE: Final = {"filename": "a.png", "type": "image/png", "data": "iVBORw0KGgo="}


@pytest.mark.parametrize("image", [IMAGE, "iVBORw0KGgo=", "http://internal.example/", ["http://internal.example/"]])
@pytest.mark.parametrize("name", ["image", "mask"])
@pytest.mark.parametrize("format_", [openai_images.GENERATIONS, openai_images.EDITS, openai_images.VARIATIONS])
def test_an_image_is_opaque_however_it_is_sent(format_: Format, name: str, image: Any) -> None:
    """As a file, in base64, or as an address that the server would fetch."""
    assert [*read({"prompt": "a cat", name: image}, format_.request).opaque] == ["image"]


@pytest.mark.parametrize("place", ["image", "image[]", "mask"])
def test_what_stands_beside_an_images_content_is_inspected(place: str) -> None:
    """A rule that lets images pass does not let a file's name pass with them."""
    file = {**IMAGE, "filename": f"{EMAIL}.png", "type": "tel/4155550123"}
    reading = read({place: [file] if place.endswith("[]") else file}, openai_images.EDITS.request)
    assert [*reading.opaque] == ["image"]
    assert [text.value for _, _, text in reading.texts] == [f"{EMAIL}.png"]
    assert "tel/4155550123" in reading.names
