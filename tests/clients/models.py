"""The fake model servers, by the name of the connection that leads to each."""

from typing import Final

from fake import Fake
from fake_anthropic import FakeAnthropic
from fake_kserve import FakeKServe
from fake_llamacpp import FakeLlamaCpp
from fake_ollama import FakeOllama
from fake_openai import FakeOpenAI
from fake_tgi import FakeTGI
from fake_vectors import FakeVectors

MODELS: Final[dict[str, type[Fake]]] = {
    "openai": FakeOpenAI,
    "vectors": FakeVectors,
    "anthropic": FakeAnthropic,
    "ollama": FakeOllama,
    "llamacpp": FakeLlamaCpp,
    "tgi": FakeTGI,
    "kserve": FakeKServe,
}
