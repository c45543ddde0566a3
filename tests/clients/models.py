"""The fake model servers, by the name of the connection that leads to each."""

from typing import Final

from fake import Fake
from fake_ollama import FakeOllama
from fake_openai import FakeOpenAI

MODELS: Final[dict[str, type[Fake]]] = {
    "openai": FakeOpenAI,
    "ollama": FakeOllama,
}
