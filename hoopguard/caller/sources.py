"""Where a token may come from, in the order in which the places are looked at.

The first place that is there decides: one that is there and fails is an error, never a reason to look for a weaker one.
"""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hoopguard.caller import TOKEN_VARIABLE
from hoopguard.caller.tokens import MAX_TOKEN_CHARS, NoTokenError, Token, read_token


class Source(Protocol):
    """A place that may have a token."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables that hold the token itself, and that a command need not see."""
        ...

    def absent(self) -> str:
        """Return why there is nothing to be had; empty if the place is there."""
        ...

    def read(self) -> Token:
        """Return its token as it is now.

        Raises:
            NoTokenError: it has none, or none for this audience.
        """
        ...


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that the caller names; ``-`` is the standard input. Nobody but its owner may read it."""

    file: Path | None
    name: str = "--token-file"
    variables: tuple[str, ...] = ()

    def absent(self) -> str:
        """Return why there is nothing to be had."""
        return "" if self.file is not None else "not given"

    def read(self) -> Token:
        """Return the file's token."""
        if str(self.file) == "-":
            return read_token(sys.stdin.read(MAX_TOKEN_CHARS + 2), "stdin")
        return read_token(_contents(self.file or Path(), private=True), str(self.file))


@dataclass(frozen=True, slots=True)
class Variable:
    """``$HOOPGUARD_TOKEN``."""

    env: Mapping[str, str] = field(repr=False)
    name: str = f"${TOKEN_VARIABLE}"
    variables: tuple[str, ...] = (TOKEN_VARIABLE,)

    def absent(self) -> str:
        """Return why there is nothing to be had."""
        return "" if self.env.get(TOKEN_VARIABLE, "").strip() else "not set"

    def read(self) -> Token:
        """Return the variable's token."""
        return read_token(self.env[TOKEN_VARIABLE], self.name)


@dataclass(frozen=True, slots=True)
class GitLab:
    """A GitLab job's ``id_tokens``: a variable that the job's own definition names."""

    env: Mapping[str, str] = field(repr=False)
    audience: str
    variable: str
    name: str = "GitLab"

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the variable that the job's definition names."""
        return (self.variable,)

    def absent(self) -> str:
        """Return why there is nothing to be had."""
        if self.env.get("GITLAB_CI") != "true":
            return "no job of GitLab's"
        return "" if self.env.get(self.variable, "").strip() else f"the job has no id_tokens named {self.variable}"

    def read(self) -> Token:
        """Return the job's token."""
        return _for_audience(read_token(self.env[self.variable], f"GitLab (${self.variable})"), self.audience)


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """A projected service-account token, which the kubelet writes anew before it expires.

    It has to be one of its own: the token that every pod has is for the cluster's API only.
    """

    file: Path
    audience: str
    name: str = "Kubernetes"
    variables: tuple[str, ...] = ()

    def absent(self) -> str:
        """Return why there is nothing to be had."""
        return "" if self.file.exists() else f"there is no {self.file}"

    def read(self) -> Token:
        """Return the pod's token. Its file's mode is the kubelet's choice."""
        return _for_audience(read_token(_contents(self.file), f"Kubernetes ({self.file})"), self.audience)


def find_source(sources: Sequence[Source]) -> Source:
    """Return the first source that is there.

    Raises:
        NoTokenError: none is; the text says what was tried.
    """
    tried: list[str] = []
    for source in sources:
        absence = source.absent()
        if not absence:
            return source
        tried.append(f"{source.name} ({absence})")
    raise NoTokenError(
        f"there is no token; tried: {', '.join(tried)}",
        hint=f"give one with --token-file FILE or in ${TOKEN_VARIABLE}",
    )


@dataclass(frozen=True, slots=True)
class Where:
    """What a caller says about where tokens are, and for whom they shall be."""

    token_file: Path | None
    audience: str
    gitlab_variable: str
    kubernetes_file: Path


def sources_of(where: Where, env: Mapping[str, str]) -> tuple[Source, ...]:
    """Return all sources, in their order: what the caller names first, then what the surroundings offer."""
    from hoopguard.caller.github import GitHub

    named = where.token_file
    return (
        TokenFile(named if named is None or str(named) == "-" else named.absolute()),
        Variable(env),
        GitHub(env, where.audience),
        GitLab(env, where.audience, where.gitlab_variable),
        Kubernetes(where.kubernetes_file.absolute(), where.audience),
    )


def _contents(file: Path, *, private: bool = False) -> str:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            raw = opened.read(MAX_TOKEN_CHARS + 2)
    except OSError as error:
        raise NoTokenError(f"{file}: {error.strerror}") from error
    if private and stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise NoTokenError(f"{file} can be read by others than its owner", hint=f"run: chmod 600 {file}")
    return raw.decode("ascii", "replace")


def _for_audience(token: Token, audience: str) -> Token:
    """Return the token if it is meant for the gateway; one for somebody else must not be shown around."""
    if audience not in token.audiences:
        meant = ", ".join(token.audiences) or "nobody in particular"
        raise NoTokenError(
            f"{token.source}: the token is for {meant}, not for {audience}",
            hint="ask for one with the gateway's audience, or name the audience with --audience",
        )
    return token
