"""The command line in this process, as in the tests of the command line."""

from tests.cli.conftest import cli, fake

__all__ = ["cli", "fake"]
