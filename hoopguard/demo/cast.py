"""Who plays in the demo's story, and with which token."""

from typing import Any, Final

from hoopguard.demo.stage import Stage

ADA: Final = "ada@example.com"
GRACE: Final = "grace@example.com"
LINUS: Final = "linus@example.com"
JOB: Final = "repo:example/site:ref:refs/heads/main"


def ada(stage: Stage, **asked: Any) -> str:
    """Return a token of Ada, who works with models and owns data too."""
    return stage.token(stage.staff, ADA, **{"groups": ["ml", "data-owners"], **asked})


def grace(stage: Stage, **asked: Any) -> str:
    """Return a token of Grace, who reviews what others want of the data."""
    return stage.token(stage.staff, GRACE, **{"groups": ["data-owners"], **asked})


def linus(stage: Stage) -> str:
    """Return a token of Linus, who may use the small model only."""
    return stage.token(stage.staff, LINUS, groups=["staff"])


def job(stage: Stage, **asked: Any) -> str:
    """Return a token of a CI job, as its platform would give it."""
    claims = {
        "repository": "example/site",
        "repository_owner": "example",
        "ref": "refs/heads/main",
        "run_id": "4711",
        "groups": None,
    }
    return stage.token(stage.ci, JOB, **{"claims": claims, **asked})
