"""The fake model servers, by the name of the connection that leads to each."""

from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol, Self

from fake_anthropic import FakeAnthropic
from fake_audio import FakeAudio
from fake_kserve import FakeKServe
from fake_llamacpp import FakeLlamaCpp
from fake_mcp import FakeMCP
from fake_ollama import FakeOllama
from fake_openai import FakeOpenAI
from fake_responses import FakeResponses
from fake_tgi import FakeTGI
from fake_vectors import FakeVectors

from hoopguard.demo.connection import Request


class Model(Protocol):
    """A server with a memory."""

    api: ClassVar[str]
    seen: list[Request]

    @property
    def url(self) -> str: ...
    def start(self) -> Self: ...
    def stop(self) -> None: ...
    def forget(self) -> None: ...
    def bodies(self) -> list[Any]: ...


MODELS: Final[dict[str, Callable[[], Model]]] = {
    "openai": FakeOpenAI,
    "responses": FakeResponses,
    "vectors": FakeVectors,
    "audio": FakeAudio,
    "anthropic": FakeAnthropic,
    "ollama": FakeOllama,
    "llamacpp": FakeLlamaCpp,
    "tgi": FakeTGI,
    "kserve": FakeKServe,
    "mcp": FakeMCP,
    "mcp_stateless": lambda: FakeMCP(stateless=True),
    "mcp_whole": lambda: FakeMCP(stateless=True, whole=True),
}
