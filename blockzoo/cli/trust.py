"""trust: let the plugins of a project's pyproject.toml run, as they are now"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import screen
from blockzoo.cli.conditions import Alone


def trust(
    folder: Annotated[Path, Parameter(help="a folder of the project")] = Path(),
    *,
    forget: Annotated[bool, Parameter(help="trust it no more", negative=())] = False,
    all: Annotated[
        bool, Parameter(help="only list the projects that are trusted", negative=()), Alone()
    ] = False,
) -> int:
    """Note a project and the content of its plugins: every command in its folder runs them, until they change.

    Examples:
        blockzoo trust
        blockzoo trust --all
    """
    from blockzoo.core import trusted
    from blockzoo.core.errors import UsageError
    from blockzoo.core.plugins import project_of

    if all:
        for file in sorted(trusted.noted()):
            screen.out.print(file, soft_wrap=True)
        return 0
    project = project_of(folder)
    if project is None or not (project.plugins or forget):
        raise UsageError(
            f"no pyproject.toml in {folder.resolve()} or above it names plugins under [tool.blockzoo]"
        )
    if forget:
        was = trusted.forget(project.file)
        screen.out.print(
            f"{project.file} {'is' if was else 'was'} not trusted{' any more' * was}", soft_wrap=True
        )
        return 0
    trusted.trust(project)
    screen.out.print(
        f"{project.file} may run from now on, in every command given in its folder:", soft_wrap=True
    )
    for name, files in project.files.items():
        sizes = [len(path.read_text(errors="replace").splitlines()) for path in files]
        screen.out.print(f"  {name}{f', {sizes[0]} lines' if sizes else ''}", soft_wrap=True)
        for path, size in zip(files[1:], sizes[1:], strict=True):
            screen.out.print(f"    imports {path}, {size} lines", soft_wrap=True)
    screen.out.print("After a change of any of them they do not run until they are trusted again.")
    return 0
