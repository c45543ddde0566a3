"""What only a caller says: nothing in it is beyond inspection, and no key means another thing to another parser."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from canaries import EMAIL, placed

from hoopguard.payload import mcp, ollama, ollama_models, openai_responses, tgi
from hoopguard.payload.fields import read, read_aside
from hoopguard.payload.formats import FORMATS, format_of
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import Fields, Opaque, Parts, Repeat, Table, Treatment

REQUESTS = {format_.name: format_.request for format_ in FORMATS if format_.has_body or format_.live}


class Spot(NamedTuple):
    """A place that a table knows, in a part of some kind or not, and what stands there."""

    treatment: Treatment
    path: str
    part: str = ""
    kind: Mapping[str, str] = MappingProxyType({})

    def body(self, path: str, said: Any) -> Any:
        """Return a body with something at a path of the same part."""
        inner = placed(path, said)
        return placed(self.part, {**self.kind, **inner}) if self.kind else inner


def spots(table: Table) -> Iterator[Spot]:
    """Yield what a table knows, and what the parts in it do."""
    for path, treatment in table.items():
        yield Spot(treatment, path)
        if not isinstance(treatment, Parts):
            continue
        for name, variant in treatment.variants.items():
            below = {} if isinstance(variant, Opaque) else variant
            yield from (Spot(inner, where, path, {treatment.by: name}) for where, inner in below.items())


@pytest.mark.parametrize("name", REQUESTS)
def test_what_says_a_text_again_is_a_text_in_a_request(name: str) -> None:
    """Nothing else in it says the same, so that it has to be inspected, and cannot be taken out."""
    for spot in spots(REQUESTS[name].table):
        if isinstance(spot.treatment, Repeat):
            reading = read(spot.body(spot.path, f"I am {EMAIL}"), REQUESTS[name], asked=True)
            assert reading.repeats == []
            assert [text.value for _, _, text in reading.texts] == [f"I am {EMAIL}"], spot


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (mcp.FORMAT.request, {"method": "initialize", "params": {"clientInfo": {"icons": [{"src": EMAIL}]}}}),
        (
            openai_responses.FORMAT.request,
            {
                "input": [
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "hi", "logprobs": EMAIL}],
                    }
                ]
            },
        ),
    ],
)
async def test_icons_and_log_probabilities_of_a_request_are_inspected(fields: Fields, body: Any) -> None:
    """Also by a walk in a thread, which a long body takes; in an answer they are taken out instead."""
    for size in (10, 1_000_000):
        assert EMAIL in [text.value for _, _, text in (await read_aside(body, fields, size, asked=True)).texts]
    answered = read(body, fields)
    assert len(answered.repeats) == 1
    assert EMAIL not in [text.value for _, _, text in answered.texts]


def spelt(key: str) -> set[str]:
    """Return a key in other cases, as Go's ``encoding/json`` would still know it."""
    folded = key.replace("s", "\u017f").replace("k", "\u212a")
    return {key.upper(), key.capitalize(), folded} - {key}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_key_that_differs_by_its_case_is_refused(name: str) -> None:
    """Go takes it for the key itself, and the last one counts: wherever a table knows a key."""
    for spot in spots(REQUESTS[name].table):
        head, _, key = spot.path.rpartition(".")
        for other in spelt(key) if key.strip("*?") else ():
            with pytest.raises(BodyError, match="case"):
                read(spot.body(f"{head}.{other}".strip("."), "x"), REQUESTS[name], asked=True)


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "messages": [{"role": "user", "content": "hi", "Images": ["iVBORw0KGgo="]}]},
        {"model": "m", "messages": [], "Model": "other"},
        {"model": "m", "messages": [], "Option\u017f": {}},
    ],
)
def test_a_key_by_another_case_carries_neither_a_model_nor_an_image(body: Any) -> None:
    with pytest.raises(BodyError, match="case"):
        read(body, ollama.CHAT.request, asked=True)


def test_keys_of_the_callers_own_have_any_case() -> None:
    """Arguments, schemas and metadata are theirs, and a model may say what it wants."""
    schema = {"properties": {"Model": {"type": "string"}, "model": {}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    fields = format_of("chat/completions").request
    assert read({"model": "m", "messages": [], "tools": [tool], "metadata": {"Model": "x"}}, fields, asked=True).texts
    assert read({"Model": "x"}, fields).texts


@pytest.mark.parametrize(
    ("body", "refused"),
    [({"model": "m"}, False), ({"name": "m"}, True), ({"model": "m", "name": "other"}, True)],
)
def test_a_shown_model_is_named_as_model_alone(body: Any, refused: bool) -> None:
    """Ollama still takes the key of old, which no permission is asked for."""
    if not refused:
        assert ollama_models.SHOW.model(body) == "m"
        return
    with pytest.raises(BodyError):
        ollama_models.SHOW.model(body)


@pytest.mark.parametrize("format_", [tgi.GENERATE, tgi.GENERATE_STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("inputs", "refused"),
    [
        ("![](data:image/png;base64,iVBORw0KGgo=)What is this?", True),
        ("see ![a cat](http://internal.example/cat.png)", True),
        ("![a\nb](x)", True),
        ("Wow! [a link](http://example.com)", False),
        ("!\\[x] (y)", False),
    ],
)
def test_an_image_in_a_prompt_of_tgis_is_refused(format_: Any, inputs: str, refused: bool) -> None:
    """TGI takes it out of the Markdown, and fetches it where it is an address."""
    if not refused:
        assert format_.model({"inputs": inputs}) is None
        return
    with pytest.raises(BodyError, match="image"):
        format_.model({"inputs": inputs})


ROLES: tuple[Any, ...] = ([], {}, ["user"], {"user": 1}, 1, True, None, "nobody")


@pytest.mark.parametrize("role", ROLES, ids=str)
@pytest.mark.parametrize("name", ["chat/completions", "messages", "responses"])
def test_a_role_of_any_type_is_a_known_word_or_refused(name: str, role: Any) -> None:
    """It is the caller's mistake, and told as one."""
    said = {"role": role, "content": "hi"}
    body = {"model": "m", "input": [said]} if name == "responses" else {"model": "m", "messages": [said]}
    with pytest.raises(BodyError, match="role"):
        format_of(name).model(body)
