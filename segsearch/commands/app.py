"""The command `segsearch`: its commands in a row, and one place where a user's mistake becomes two lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.exceptions import TyperException

from segsearch import __version__
from segsearch.commands.choosing import dashboard, front, pick
from segsearch.commands.comparing import compare, references
from segsearch.commands.compressing import compress
from segsearch.commands.doctor import doctor
from segsearch.commands.drawing import masks
from segsearch.commands.explaining import explain
from segsearch.commands.exporting import export
from segsearch.commands.growing import confirm, retrain
from segsearch.commands.predicting import predict
from segsearch.commands.searching import check, new, resume, run
from segsearch.commands.standing import status
from segsearch.commands.timing import measure, remeasure
from segsearch.errors import SegsearchError
from segsearch.terminal import INTERRUPTED, Stopped, complain, write

app = typer.Typer(
    name="segsearch",
    help="Search for segmentation models that are compressed, exported, timed and scored as they will ship.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# In the order in which a person needs them.
COMMANDS = (
    *(doctor, masks, new, compress, check, run, resume, status, front, pick, measure, remeasure, confirm),
    *(explain, retrain, export, predict, compare, references, dashboard),
)
for _command in COMMANDS:
    app.command()(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; no traceback for anything that the user can cure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = app(args=arguments, prog_name="segsearch", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SegsearchError as error:
        return complain(str(error))
    except TyperException as error:
        context = getattr(error, "ctx", None)
        help_with = context.command_path if context else "segsearch"
        return complain(f"{error.format_message()}\n`{help_with} --help` lists what there is.", code=error.exit_code)
    except Stopped as stop:
        return complain(f"Stopped. Carry on with: {stop}", code=INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return complain("Stopped.", code=INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        return complain(f"{error.filename}: {error.strerror}; correct the path or its rights.")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        write(f"segsearch {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        write(context.get_help() + "\n")
