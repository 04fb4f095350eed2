"""Requirements and RFC map name only what exists; no requirement is without code and proof."""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [FP]\d+ \|", line)
]
MAP = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (ROOT / "docs" / "rfc-map.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+[, ]", line)
]
CODE = sorted({name for row in ROWS + MAP for name in re.findall(r"`(omtcp\.[\w.:]+)`", row[2])})
PROOFS = sorted({name for row in ROWS + MAP for name in re.findall(r"`(tests/[^`]+)`", row[3])})


@cache
def definitions(path: Path) -> frozenset[str]:
    """Every class and function of a file, methods as Class::method."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {
                f"{node.name}::{member.name}"
                for member in node.body
                if isinstance(member, ast.FunctionDef)
            }
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return frozenset(found)


def test_every_requirement_has_code_and_proof() -> None:
    assert [row[0] for row in ROWS] == [f"P{n}" for n in range(1, 12)] + [
        f"F{n}" for n in range(1, 13)
    ]
    for name, text, code, proof in ROWS:
        assert text, name
        assert "`omtcp." in code, name
        assert "`tests/" in proof, name


def test_every_clause_of_the_map_has_code_and_proof() -> None:
    assert len(MAP) > 30
    for name, text, code, proof in MAP:
        assert text, name
        assert "`omtcp." in code, name
        assert "`tests/" in proof, name


@pytest.mark.parametrize("name", CODE)
def test_the_code_exists(name: str) -> None:
    module, _, path = name.partition(":")
    found: ModuleType | object = import_module(module)
    for part in filter(None, path.split(".")):
        found = getattr(found, part)


@pytest.mark.parametrize("name", PROOFS)
def test_the_proof_exists(name: str) -> None:
    file, _, test = name.partition("::")
    assert (ROOT / file).is_file()
    if test:
        assert test in definitions(ROOT / file)


def test_a_name_that_does_not_exist_would_be_found() -> None:
    here = definitions(Path(__file__))
    assert "definitions" in here
    assert "test_nothing" not in here
    assert len(CODE) > 30
    assert len(PROOFS) > 40
