"""What of a body nobody can look into: refused, unless a rule names its kind."""

from collections.abc import Iterable, Sequence

from hoopguard.guardrail.rules import CompiledRule, Verdict

_SPOKEN = {
    "tokens": "token ids or embeddings",
    "image": "an image",
    "audio": "audio",
    "video": "a video",
    "file": "a file",
    "encrypted": "something encrypted, which only the model can read",
    "part": "a part of unknown kind, or one that says two things",
}


def judge_unreadable(rules: Sequence[CompiledRule], kinds: Iterable[str]) -> tuple[Verdict, ...]:
    """Return the verdict of each rule that names one of the kinds, blocking ones first."""
    found = frozenset(kinds)
    return tuple(
        Verdict(compiled.rule, compiled.observed)
        for compiled in rules
        if not found.isdisjoint(compiled.rule.unreadable)
    )


def let_pass(rules: Sequence[CompiledRule]) -> frozenset[str]:
    """Return the kinds that some rule names and none blocks; a rule that only observes lets nothing pass."""
    ruling = [compiled.rule for compiled in rules if not compiled.observed]
    named = [(rule.action, kind) for rule in ruling for kind in rule.unreadable]
    return frozenset(kind for _, kind in named) - {kind for action, kind in named if action == "block"}


def spoken(kinds: Iterable[str]) -> str:
    """Say what cannot be inspected, and what to do about it."""
    what = ", ".join(_SPOKEN.get(kind, kind) for kind in kinds)
    return f"it holds what nobody here can look into ({what}); send it as text, or have a rule allow it"
