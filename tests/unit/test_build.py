"""Whether it is known in which form the protocol runs."""

from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

import pytest

from omtcp import build


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("sender.cpython-311-x86_64-linux-gnu.so", "compiled"),
        ("sender.abi3.so", "compiled"),
        ("sender.py", "pure Python"),
        (None, "pure Python"),
    ],
)
def test_by_the_file_it_is_imported_from(
    file: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec("omtcp.core.sender", None, origin=file)
    monkeypatch.setattr(build, "find_spec", lambda name: spec)
    assert build.form() == words


def test_no_extension_lingers_among_the_sources() -> None:
    """It would be imported instead of them, whatever they say by now."""
    sources = Path(__file__).parents[2] / "src"
    suffixes = tuple(EXTENSION_SUFFIXES)
    assert [file for file in sources.rglob("*") if file.name.endswith(suffixes)] == []
