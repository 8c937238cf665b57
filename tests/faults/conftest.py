"""The command line in this process, as in the tests of the command line."""

from tests.cli.conftest import cli, composed_once, compositions, fake

__all__ = ["cli", "composed_once", "compositions", "fake"]
