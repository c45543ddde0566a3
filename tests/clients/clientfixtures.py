"""The fixtures of the client tests, named by each module as its plugin."""

from collections.abc import Iterator

import pytest
from clientsite import ClientSite


@pytest.fixture(scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientSite]:
    site = ClientSite(tmp_path_factory.mktemp("clients"))
    try:
        yield site.start()
    finally:
        site.close()


@pytest.fixture
def site(_site: ClientSite) -> ClientSite:
    """The shared gateway, and models that have forgotten everything."""
    for model in _site.models.values():
        model.forget()
    return _site
