"""hoopguard: an identity-aware, policy-driven, auditable gateway in front of self-hosted models."""

from importlib.metadata import version

__version__ = version("hoopguard")
