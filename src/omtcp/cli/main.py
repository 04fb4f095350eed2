"""The command `omtcp`: its verbs, and how it ends.

Bad input and a host that refuses end in one line on stderr, `omtcp: ...`, and a non-zero status:
2 for a command line that makes no sense, 1 for everything else, 130 after an interrupt.
"""

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from omtcp.errors import OmtcpError

logger = logging.getLogger("omtcp.cli")


class Verb(NamedTuple):
    """A subcommand, named by the module and the attribute that hold it, imported when used."""

    module: str
    attribute: str
    help: str


VERBS = {
    "bench": Verb("omtcp.cli.bench", "bench", "Measure speed beside other stacks."),
    "doctor": Verb("omtcp.cli.doctor", "doctor", "Look whether omtcp can serve here."),
    "lab": Verb("omtcp.cli.lab", "lab", "Measure against real kernels over emulated uplinks."),
    "path": Verb("omtcp.cli.path", "path", "Look at a running server's paths, and change them."),
    "serve": Verb("omtcp.cli.serve", "serve", "Serve a directory over HTTP from several uplinks."),
}


class _Verbs(click.Group):
    """A group that imports a verb only when it is run: `--help` and errors come at once."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        verb = VERBS.get(name)
        if verb is None:
            return None
        try:
            command = getattr(importlib.import_module(verb.module), verb.attribute)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("omtcp", ""):
                raise
            raise click.ClickException(
                f"{name} needs the Python package {missing}, which is not installed"
            ) from None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name].help) for name in self.list_commands(context)])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="omtcp", message="%(prog)s %(version)s")
def omtcp() -> None:
    """One TCP connection over several uplinks, to any unmodified client."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        status = omtcp.main(
            None if arguments is None else list(arguments), "omtcp", standalone_mode=False
        )
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.message, err=True)
        return error.exit_code
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except OmtcpError as error:
        _complain(str(error))
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:
        logger.debug("the system refused", exc_info=error)
        _complain(str(error))
        return 1


def _complain(message: str) -> None:
    click.echo(f"omtcp: {' '.join(message.split())}", err=True)
