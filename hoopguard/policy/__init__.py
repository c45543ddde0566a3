"""policy.toml as frozen, checked objects."""

from hoopguard.policy.holder import PolicyHolder
from hoopguard.policy.loading import LoadedPolicy, PolicyError, load_policy
from hoopguard.policy.model import Policy
from hoopguard.policy.values import Secret

__all__ = ["LoadedPolicy", "Policy", "PolicyError", "PolicyHolder", "Secret", "load_policy"]
