"""An OpenAI-compatible model server for the demo, the tests and the bench.

``python -m hoopguard.demo.model --port 0 --port-file F``. It wants its own key in ``Authorization``, remembers every
request it got (``GET /_seen``, ``DELETE /_seen``), and goes wrong on demand (``POST /_behave``). Loopback only.
"""

import argparse
import asyncio
import base64
import hmac
import ssl
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from hoopguard.demo import shapes
from hoopguard.demo.answers import answer_chat, answer_completion, last_user_text, tokens
from hoopguard.demo.connection import RawReply, Reply, Request, json_reply
from hoopguard.demo.loopback import LoopbackServer
from hoopguard.demo.misbehaviour import Behaviour, misbehave, read_behaviour

DEFAULT_KEY: Final = "demo-model-key"
MODELS: Final = ("llama-3-8b", "llama-3-70b")
_REMEMBERED: Final = 10_000
_MAX_CHOICES: Final = 16


class DemoModel(LoopbackServer):
    """The model; in a test: ``with DemoModel() as model: … model.seen``."""

    def __init__(
        self,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        api_key: str = DEFAULT_KEY,
        token_delay_s: float = 0.0,
        models: Sequence[str] = MODELS,
    ) -> None:
        super().__init__(port, tls)
        self.api_key = api_key
        self.token_delay_s = token_delay_s
        self.models = tuple(models)
        self._seen: deque[Request] = deque(maxlen=_REMEMBERED)
        self._behaviours: deque[Behaviour] = deque()
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any], Request], Reply]] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._completion,
            ("POST", "/v1/embeddings"): _embeddings,
            ("POST", "/v1/load_lora_adapter"): _admin,
            ("GET", "/v1/models"): self._models,
            ("GET", "/metrics"): _metrics,
            ("GET", "/health"): lambda asked, request: Reply(b""),
        }

    @property
    def seen(self) -> list[Request]:
        """Return the requests that reached the model, oldest first (the last 10,000); without its own controls."""
        return list(self._seen)

    def forget(self) -> None:
        """Clear what was seen and what behaviour is still to come."""
        self._seen.clear()
        self._behaviours.clear()

    def behave(self, mode: str, **parameters: Any) -> None:
        """Queue a behaviour for the next request(s); see ``misbehaviour.Behaviour`` for the parameters.

        Raises:
            ValueError: an unknown mode. TypeError: an unknown parameter.
        """
        behaviour = read_behaviour({"mode": mode, **parameters})
        self._behaviours.extend([behaviour] * behaviour.times)

    async def handle(self, request: Request) -> Reply | RawReply:
        """Answer one request, honestly unless a behaviour is queued."""
        if request.path in ("/_seen", "/_behave"):
            return self._control(request)
        self._seen.append(request)
        if not self._knows(request):
            return json_reply(shapes.error("wrong or missing key", code="invalid_api_key"), 401)
        behaviour = self._behaviours.popleft() if self._behaviours else None
        reply = self._honest(request, behaviour.text if behaviour and behaviour.mode == "say" else None)
        return misbehave(behaviour, reply) if behaviour else reply

    def _knows(self, request: Request) -> bool:
        expected = f"Bearer {self.api_key}".encode()
        return not self.api_key or hmac.compare_digest(request.header("authorization").encode(), expected)

    def _honest(self, request: Request, said: str | None) -> Reply:
        route = self._routes.get((request.method, request.path))
        if route is None:
            return json_reply(shapes.error(f"no route {request.method} {request.path}", code="not_found"), 404)
        try:
            asked = orjson.loads(request.body) if request.body else {}
        except ValueError as error:
            return json_reply(shapes.error(f"the body is not JSON: {error}"), 400)
        if not isinstance(asked, dict):
            return json_reply(shapes.error("the body is not a JSON object"), 400)
        return route({**asked, "_said": said} if said is not None else asked, request)

    def _control(self, request: Request) -> Reply:
        if request.path == "/_seen" and request.method == "GET":
            return Reply(orjson.dumps([_shown(seen) for seen in self._seen]))
        if request.method == "DELETE":
            self.forget()
            return json_reply({"forgotten": True})
        try:
            self.behave(**request.json())
        except (TypeError, ValueError) as error:
            return json_reply(shapes.error(str(error)), 400)
        return json_reply({"queued": len(self._behaviours)})

    def _models(self, asked: dict[str, Any], request: Request) -> Reply:
        listed = [{"id": name, "object": "model", "created": 1, "owned_by": "hoopguard"} for name in self.models]
        return Reply(orjson.dumps({"object": "list", "data": listed}))

    def _chat(self, body: dict[str, Any], request: Request) -> Reply:
        asked = _asked(body, last_user_text(body.get("messages")), request)
        answers = [answer_chat(body, body.get("_said"))] * _choices(body)
        if body.get("stream") is True:
            return self._stream(shapes.chat_chunks(asked, answers))
        return Reply(orjson.dumps(shapes.chat_body(asked, answers)))

    def _completion(self, body: dict[str, Any], request: Request) -> Reply:
        prompt = body.get("prompt", "")
        prompts = [str(part) for part in prompt] if isinstance(prompt, list) else [str(prompt)]
        asked = _asked(body, prompts[0] if prompts else "", request)
        answers = [answer_completion(text, body.get("_said")) for text in prompts for _ in range(_choices(body))]
        echo = body.get("echo") is True
        if body.get("stream") is True:
            return self._stream(shapes.completion_chunks(asked, answers, echo=echo))
        return Reply(orjson.dumps(shapes.completion_body(asked, answers, echo=echo)))

    def _stream(self, chunks: Iterable[dict[str, Any]]) -> Reply:
        headers = (("cache-control", "no-cache"),)
        return Reply(self._events(chunks), content_type="text/event-stream", headers=headers)

    async def _events(self, chunks: Iterable[dict[str, Any]]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield b"data: " + orjson.dumps(chunk) + b"\n\n"
            await asyncio.sleep(self.token_delay_s)
        yield b"data: [DONE]\n\n"


def _asked(body: dict[str, Any], prompt: str, request: Request) -> shapes.Asked:
    options = body.get("stream_options")
    return shapes.Asked(
        model=str(body.get("model", "")),
        prompt=prompt,
        key=request.body,
        logprobs=bool(body.get("logprobs")),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _choices(body: dict[str, Any]) -> int:
    count = body.get("n")
    return min(count, _MAX_CHOICES) if isinstance(count, int) and count > 0 else 1


def _embeddings(body: dict[str, Any], request: Request) -> Reply:
    given = body.get("input", "")
    texts = [str(part) for part in given] if isinstance(given, list) else [str(given)]
    data = [
        {"object": "embedding", "index": index, "embedding": [len(text) / 100, 0.5, -0.25], "text": text}
        for index, text in enumerate(texts)
    ]
    count = sum(len(tokens(text)) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return Reply(orjson.dumps({"object": "list", "data": data, "model": body.get("model"), "usage": usage}))


def _admin(body: dict[str, Any], request: Request) -> Reply:
    return Reply(f"Success: LoRA adapter '{body.get('lora_name')}' added.".encode(), content_type="text/plain")


def _metrics(body: dict[str, Any], request: Request) -> Reply:
    return Reply(b"demo_model_secret_metric 1\n", content_type="text/plain; version=0.0.4")


def _shown(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "body": request.body.decode("utf-8", "backslashreplace"),
        "body_base64": base64.b64encode(request.body).decode(),
        "outcome": request.outcome,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the model until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m hoopguard.demo.model", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port, once it listens")
    parser.add_argument("--tls-cert", type=Path, help="speak TLS with this certificate (PEM)")
    parser.add_argument("--tls-key", type=Path, help="the certificate's key, if it is in another file")
    parser.add_argument("--api-key", default=DEFAULT_KEY, help="what callers have to send; empty: nothing")
    parser.add_argument("--token-delay-ms", type=float, default=0.0, help="the wait between two streamed tokens")
    chosen = parser.parse_args(arguments)
    tls = None
    if chosen.tls_cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(chosen.tls_cert, chosen.tls_key)
    model = DemoModel(chosen.port, tls, chosen.api_key, chosen.token_delay_ms / 1000)
    return model.run(chosen.port_file)


if __name__ == "__main__":
    sys.exit(main())
