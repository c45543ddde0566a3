"""Act one: a caller asks a model, and personal data stays out of sight in both directions."""

import json
from typing import Final

from hoopguard.demo import answers, cast
from hoopguard.demo.asking import ask, stream
from hoopguard.demo.model import DEFAULT_KEY
from hoopguard.demo.stage import Helper, Stage, chat
from hoopguard.demo.story import Act, Seen, quoted

ACT: Final = Act("A caller asks a model")

EMAIL: Final = "marie.curie@example.org"
CARD: Final = "5555 5555 5555 4444"
STAFF_NUMBER: Final = "EMP-40211"
MASKED_CARD: Final = "***************4444"
HIDDEN: Final = (EMAIL, CARD, STAFF_NUMBER, answers.CUSTOMER_EMAIL, answers.CUSTOMER_PHONE, answers.CUSTOMER_CARD)
"""Personal data that goes in, and that nobody may find anywhere afterwards."""

MASKED_CUSTOMER: Final = (
    "The customer is Ada Lovelace. Write to <EMAIL_ADDRESS>, call <PHONE_NUMBER>; "
    "the card on file is ***************1111. Is there anything else?"
)
_EARLY_PIECES: Final = 5


def last_seen(stage: Stage, model: Helper) -> tuple[str, dict[str, str]]:
    """Return the prompt and the headers of the last request that a model got.

    Raises:
        IndexError: it got none.
    """
    request = stage.seen(model)[-1]
    return str(json.loads(request["body"])["messages"][-1]["content"]), dict(request["headers"])


@ACT.step(
    "Ada asks through the OpenAI SDK; her prompt holds an e-mail address, a card and a staff number",
    expected="the model sees none of the three; its answer, which repeats the prompt, reaches her",
)
def masked_prompt(stage: Stage) -> Seen:
    """Check what the model saw of a prompt."""
    prompt = f"Refund {EMAIL}, card {CARD}, agreed with {STAFF_NUMBER}."
    reply = ask(stage.sdk(cast.ada(stage)), prompt)
    saw, _ = last_seen(stage, stage.llama)
    masked = f"Refund <EMAIL_ADDRESS>, card {MASKED_CARD}, agreed with <STAFF_NUMBER>."
    checks = {"the model saw the masked prompt": saw == masked, "Ada got the answer": masked in reply.content}
    return Seen(f"the model saw {quoted(saw)}", checks)


@ACT.step(
    "her token stays at the gateway",
    expected="the model is asked with the connection's own credential, and the token is nowhere in the request",
)
def own_credential(stage: Stage) -> Seen:
    """Check which credential the model saw."""
    request = stage.seen(stage.llama)[-1]
    headers = dict(request["headers"])
    checks = {
        "the connection's credential": headers.get("authorization") == f"Bearer {DEFAULT_KEY}",
        "no token": not any(token in json.dumps(request) for token in stage.tokens),
    }
    return Seen(f"authorization: {headers.get('authorization')}; headers: {', '.join(sorted(headers))}", checks)


@ACT.step(
    "she asks who the customer is; the model's answer holds an e-mail address, a phone number and a card",
    expected="the answer arrives with all three hidden",
)
def masked_answer(stage: Stage) -> Seen:
    """Check what the caller saw of an answer."""
    reply = ask(stage.sdk(cast.ada(stage)), "Who is the customer?")
    return Seen(str(reply), {"the answer is masked": reply.content == MASKED_CUSTOMER})


@ACT.step(
    "the same, streamed",
    expected=f"the same text, and {_EARLY_PIECES} pieces or more are with her while the model is still talking",
)
def streamed(stage: Stage) -> Seen:
    """Check that a stream is masked, and still a stream."""
    got = stream(stage, stage.sdk(cast.ada(stage)), stage.llama, "Who is the customer?")
    text = (
        f"{quoted(got.content)} in {len(got.pieces)} pieces, {got.early} of them before the model had finished; "
        f"first after {got.first_s:.2f} s, last after {got.last_s:.2f} s"
    )
    checks = {
        "the answer is masked": got.content == MASKED_CUSTOMER,
        "pieces arrived early": got.early >= _EARLY_PIECES,
        "the first came long before the last": got.first_s < got.last_s / 2,
        "the stream ended as it should": got.finish_reason == "stop",
    }
    return Seen(text, checks)


@ACT.step(
    "she asks another model behind the same listener, by path: /coder/v1 (curl)",
    expected="200, from the other model server",
)
def by_path(stage: Stage) -> Seen:
    """Check that a path prefix chooses the connection."""
    before = len(stage.seen(stage.llama))
    bearer, question = f"authorization: Bearer {cast.ada(stage)}", chat("Write a loop.", "coder-7b")
    url = f"{stage.reverse_url}/coder/v1/chat/completions"
    status, body = stage.curl(url, "-H", bearer, "-H", "content-type: application/json", "-d", question)
    said = json.loads(body)["choices"][0]["message"]["content"]
    checks = {
        "200": status == 200,
        "the coder was asked": last_seen(stage, stage.coder)[0] == "Write a loop.",
        "the llama was not": len(stage.seen(stage.llama)) == before,
    }
    return Seen(f"{status} {quoted(said)}", checks)
