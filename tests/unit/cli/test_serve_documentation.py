"""docs/serve.md tells of every option and its default."""

import re
from pathlib import Path

import click

from omtcp.cli.serve import serve

DOCUMENT = Path(__file__).parents[3] / "docs" / "serve.md"


def test_every_option_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(--[^`]*)` \|.*\| (.*) \|$", text, re.MULTILINE)
    documented = {option.split()[0].split("/")[0]: default for option, default in rows}
    options = [option for option in serve.params if isinstance(option, click.Option)]
    assert set(documented) == {option.opts[0] for option in options}
    for option in options:
        default = documented[option.opts[0]].strip("`")
        if option.required:
            assert default == "required"
        elif option.show_default and not option.is_flag:
            assert default.startswith(str(option.default))


def test_every_choice_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for option in serve.params:
        if isinstance(option.type, click.Choice) and option.name != "log_level":
            [row] = re.findall(rf"^\| `{option.opts[0]} ([^`]*)`", text, re.MULTILINE)
            assert set(row.split("\\|")) == set(option.type.choices)
