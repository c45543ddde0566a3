"""What the documents say is what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from hoopguard.cli import _COMMANDS, _assemble
from hoopguard.policy.model import Policy
from hoopguard.policy.packs import PACKS

ROOT = Path(__file__).resolve().parents[1]
POLICY_DOC = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
ERRORS_DOC = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
CLI_DOC = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the tables in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _documented_tables() -> dict[str, set[str]]:
    tables: dict[str, set[str]] = {}
    for section in re.split(r"^##+ ", POLICY_DOC, flags=re.MULTILINE):
        name = re.match(r"`\[*(\w+)\]*`", section)
        if name:
            tables[name[1]] = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
    return tables


def _keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("table", sorted(_keys(Policy) - {"version"}))
def test_every_policy_key_is_documented_and_every_documented_key_exists(table: str) -> None:
    field = next(field for name, field in Policy.model_fields.items() if (field.alias or name) == table)
    model = next(_models(field.annotation))
    assert _documented_tables()[table] == _keys(model)


@pytest.mark.parametrize(
    ("table", "key"), [("issuer", "claims"), ("connection", "credential"), ("connection", "allow"), ("masking", "nlp")]
)
def test_every_key_of_an_inner_table_is_documented(table: str, key: str) -> None:
    outer = next(field for name, field in Policy.model_fields.items() if (field.alias or name) == table)
    inner = next(_models(next(_models(outer.annotation)).model_fields[key].annotation))
    assert _documented_tables()[key] == _keys(inner)


def test_the_packs_that_the_reference_spells_out_are_the_packs() -> None:
    rows = re.findall(r"^\| `(pack:\w+)` \| (.*) \|$", POLICY_DOC, flags=re.MULTILINE)
    assert {name: set(entities.split(", ")) for name, entities in rows} == {k: set(v) for k, v in PACKS.items()}


def test_every_error_code_in_the_code_is_documented_and_the_other_way_round() -> None:
    sources = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "hoopguard").rglob("*.py"))
    in_code = set(re.findall(r'(?:\b[45]\d\d|\bmissing),\s+"(hoopguard_[a-z_]+)"', sources))
    assert in_code == set(re.findall(r"`(hoopguard_[a-z_]+)`", ERRORS_DOC))


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    root = typer.main.get_command(_assemble())
    commands: set[str] = set()
    for name in _COMMANDS:
        command: Any = root.commands[name]  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        commands |= {f"hoopguard {name} {sub}" for sub in inner} if inner else {f"hoopguard {name}"}
    assert commands == set(re.findall(r"^\| `(hoopguard [a-z ]+)` \|", CLI_DOC, flags=re.MULTILINE))


@pytest.mark.parametrize("target", ["demo", "run", "test", "bench", "lint", "lock", "help"])
def test_every_make_target_that_the_readme_names_exists(target: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert target in readme
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
