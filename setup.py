"""What pyproject.toml cannot say: files of the checkout that go into the wheel, and the README as an index shows it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ("examples", "CITATION.cff")
"""What `blockzoo.core.shipped` finds at the top of a checkout, and in the package of a wheel."""
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?!\w+:|#)[^)\s]+)\)")


class BuildWithShipped(build_py):
    """The package, and in it what is shipped."""

    def run(self) -> None:
        """Build, then copy; of an editable installation, which is a checkout, nothing is copied."""
        super().run()
        if self.editable_mode:
            return
        for name in SHIPPED:
            source, target = ROOT / name, Path(self.build_lib) / "blockzoo" / name
            if source.is_dir():
                shutil.copytree(
                    source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*")
                )
            else:
                shutil.copyfile(source, target)


def on_an_index(readme: str, repository: str | None) -> str:
    """The README with the links that lead anywhere: absolute ones, to a repository.

    Args:
        readme: Markdown, with links relative to the checkout.
        repository: its address, of a forge that serves files under `raw/HEAD` and pages under `blob/HEAD`; None: there is none,
            so pictures are left out and links are their texts.
    """

    def absolute(link: re.Match[str]) -> str:
        if repository is None:
            return "" if link["picture"] else link["text"]
        folder = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['text']}]({repository.rstrip('/')}/{folder}/HEAD/{link['target']})"

    return LINK.sub(absolute, readme)


def repository_in(pyproject: str) -> str | None:
    """The address under `[project.urls]`, which is said there once."""
    said = re.search(r"^Repository = \"(\S+)\"$", pyproject, re.MULTILINE)
    return said[1] if said else None


def main(**more: Any) -> None:
    """For setuptools."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    setup(
        cmdclass={"build_py": BuildWithShipped},
        long_description=on_an_index(readme, repository_in(pyproject)),
        long_description_content_type="text/markdown",
        **more,
    )


if __name__ == "__main__":
    main()
