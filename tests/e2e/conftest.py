"""Gateways that many tests share; whatever a test did to one, its books have to balance at the end."""

from collections.abc import Iterator

import pytest
from harness import Site
from scripted import ScriptedSite

from hoopguard.demo.stack import free_port


@pytest.fixture(scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), modes=["", f"regular@{free_port()}"]) as site:
        site.write_policy()
        assert site.hoopguard("certs", "init").returncode == 0
        with site.balanced():
            yield site


@pytest.fixture
def site(_site: Site) -> Site:
    """The shared gateway with the whole policy, both ways in, and a model that has forgotten everything."""
    _site.model.forget()
    return _site


@pytest.fixture(scope="session")
def _scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedSite]:
    with ScriptedSite(tmp_path_factory.mktemp("scripted")) as site, site.balanced():
        yield site


@pytest.fixture
def scripted(_scripted: ScriptedSite) -> ScriptedSite:
    """The shared gateway in front of a server that says what it is told to, and has forgotten everything."""
    _scripted.forget()
    return _scripted
