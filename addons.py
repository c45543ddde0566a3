"""hoopguard for mitmproxy: ``mitmdump -s addons.py --set hoopguard_policy=policy.toml --mode …``."""

from mitmproxy.addonmanager import Loader

from hoopguard.gateway import install


def load(loader: Loader) -> None:
    """Put the chain on the master itself, where it outlives this script."""
    install(loader.master)
