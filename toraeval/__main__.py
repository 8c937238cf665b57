"""`python -m toraeval <verb> ...`: find the verb, run it, turn errors into one line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys

from toraeval import __version__
from toraeval.cli import VERBS, error_text, help_text
from toraeval.types import UserError

NO_WINDOWS = "toraeval runs on Linux and macOS; on Windows use the Windows Subsystem for Linux: wsl --install"


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 some cases failed, 2 usage, 3 missing, 130 interrupted."""
    try:
        code = _answer(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # here, because Python would end with 120 where the reader is gone
    except BrokenPipeError:  # the reader of our output left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _answer(arguments: list[str]) -> int:
    """Run one verb and return its exit code; what went wrong is one line on stderr."""
    if os.name == "nt":
        print(error_text(UserError(NO_WINDOWS)), file=sys.stderr)
        return UserError.exit_code
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a name is printed whatever the terminal's encoding
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(help_text())
            return 0
        if "--version" in arguments or arguments[0] in ("-V", "version"):
            print(f"toraeval {__version__}")
            return 0
        _require_text(arguments)
        if arguments[0] not in VERBS:
            from toraeval.registry import unknown

            raise UserError(unknown("verb", arguments[0], VERBS) + "; see: python -m toraeval")
        return _verb(*arguments)
    except UserError as error:
        print(error_text(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(
            "\ninterrupted: what is finished is kept; run the same command again to resume", file=sys.stderr
        )
        return int(getattr(stop, "exit_code", 130))


def _verb(verb: str, *words: str) -> int:
    """Run a verb: through Hydra where its module has `execute`, else by its `main`."""
    module = importlib.import_module(f"toraeval.cli.{VERBS[verb].module}")
    if hasattr(module, "execute"):
        from toraeval.cli.jobs import launch

        return launch(verb, module.HELP, list(words), module.execute)
    if "-h" in words or "--help" in words:
        print(module.HELP)
        return 0
    return int(module.main(list(words)))


def _require_text(arguments: list[str]) -> None:
    """Refuse bytes that are not text: records and tables are UTF-8 and could not hold them.

    Raises:
        UserError: an argument that is not valid in this locale's encoding.
    """
    for text in arguments:
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError(
                f"{text!r} is not valid UTF-8; rename the file, or give a link to it with another name"
            )


if __name__ == "__main__":
    sys.exit(main())
