"""The long description of the package: README.md with links that work on the page of a package index.

Everything else stands in pyproject.toml. Links to files of the repository lead to `Repository` of `[project.urls]`; as
long as there is none they are left out, and their text stays.
"""

import os
import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")


def long_description(readme: str, repository: str | None = None) -> str:
    """Return the README with links for a page outside the repository.

    Args:
        readme: Markdown.
        repository: address of the repository, or None.
    """
    return LINK.sub(lambda link: _link(*link.groups(), repository), readme)


def _link(mark: str, text: str, target: str, repository: str | None) -> str:
    if repository:
        return f"{mark}[{text}]({repository.rstrip('/')}/{'raw' if mark else 'blob'}/HEAD/{target})"
    if mark:
        return f"(picture: `{target}` of the repository)"
    page = os.path.normpath(target)
    return f"`{page}`" if text.rstrip("/") in (page, os.path.basename(page)) else text


if __name__ == "__main__":
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    setup(
        long_description=long_description(
            (HERE / "README.md").read_text(encoding="utf-8"), project["urls"].get("Repository")
        ),
        long_description_content_type="text/markdown",
    )
