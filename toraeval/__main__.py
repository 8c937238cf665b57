"""`python -m toraeval <verb> ...`: find the verb, run it, turn errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys

from toraeval.cli import VERBS, error_text, help_text
from toraeval.types import UserError


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 some cases failed, 2 usage, 3 missing, 130 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    try:
        if arguments[0] not in VERBS:
            from toraeval.registry import unknown

            raise UserError(unknown("verb", arguments[0], VERBS) + "; see: python -m toraeval")
        module = importlib.import_module(f"toraeval.cli.{VERBS[arguments[0]].module}")
        return int(module.main(arguments[1:]))
    except UserError as error:
        print(error_text(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted: what is finished is kept; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left, e.g. `| head`
        return 0


if __name__ == "__main__":
    sys.exit(main())
