"""A setting is one field: what else knows it follows from there."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from blockzoo.core.checked import settings_of, sorted_into, together
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Recipe, Run, Scaffold

ROOT = Path(__file__).parents[2]
MADE_UP = """\
    lookahead: Share | None = setting(None, "a made-up share", column="the made-up column")
    lookahead_of: Literal["weights", "all"] = setting("weights", "a made-up word", column="the made-up word")
    lookahead_start: str | None = setting(None, "a made-up text", column="the made-up text")
"""
KNOWN_EVERYWHERE = """
import contextlib, io
from pathlib import Path

from blockzoo.cli import main
from blockzoo.cli.app import build
from blockzoo.cli.everywhere import OptionsFile
from blockzoo.core.errors import BlockzooError
from blockzoo.core.keywords import RecipeKeywords
from blockzoo.core.record import Record
from blockzoo.core.spec import TrialSpec
from blockzoo.core.subject import as_stored
from blockzoo.core.csv_file import read_csv
from blockzoo.core.table import COLUMNS, TEXTS, trial_row

# the command line, and Python
for command in (["train"], ["sweep", "run"], ["nas", "train"], ["tile", "train"]):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        main([*command, "--help"])
    assert "--lookahead" in said.getvalue() and "a made-up share" in said.getvalue(), command
assert "lookahead" in RecipeKeywords.__annotations__

# the spec, its fingerprint, its check
usual, other = TrialSpec(), TrialSpec(lookahead=0.5)
assert usual.fingerprint() == OF_BEFORE and other.fingerprint() != usual.fingerprint()
assert other.comparable() != usual.comparable()
try:
    TrialSpec(lookahead=2.0)
except BlockzooError as error:
    assert "lookahead=2.0" in str(error)
else:
    raise AssertionError("a share of 2")

# a record's row
with as_stored():
    row = trial_row(Record("trial", other.fingerprint(), "x", other.to_json()))
assert row["lookahead"] == 0.5 and COLUMNS["lookahead"] == "the made-up column"

# a text column of a table is read as a text, as much as it may look like a number
assert {"lookahead_of", "lookahead_start"} <= TEXTS and "lookahead" not in TEXTS
Path("table.csv").write_text("block,position,lookahead,lookahead_of,lookahead_start\\nx,mid,0.5,all,007\\n")
(read,) = read_csv("table.csv", verify=False)
assert (read["lookahead"], read["lookahead_of"], read["lookahead_start"]) == (0.5, "all", "007")

# a sweep file
def of_file(value):
    app = build()
    app.config = [OptionsFile(Path("x.yaml"), {"lookahead": value})]
    _, bound, _ = app.parse_args(["sweep", "run", "--blocks", "X"], exit_on_error=False, print_error=False)
    return bound.arguments["lookahead"]


assert of_file(0.5) == 0.5
try:
    of_file("much")
except Exception as error:
    assert "lookahead" in str(error) and "x.yaml" in str(error)
else:
    raise AssertionError("a word for a number")

# the docs
assert "| `lookahead` | `--lookahead` |" in Path("docs/settings.md").read_text()
"""


def test_a_made_up_field_is_known_everywhere(tmp_path: Path) -> None:
    from blockzoo.core.spec import TrialSpec

    shutil.copytree(ROOT / "blockzoo", tmp_path / "blockzoo", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "scripts").mkdir()
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "scripts" / "settings.py", tmp_path / "scripts")
    place = tmp_path / "blockzoo" / "core" / "settings.py"
    before, after, rest = place.read_text().partition("    momentum: ")
    place.write_text(before + MADE_UP + after + rest)
    check = KNOWN_EVERYWHERE.replace("OF_BEFORE", repr(TrialSpec().fingerprint()))
    for words in (["scripts/settings.py"], ["-c", check]):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert "    lookahead: float | None\n" in (tmp_path / "blockzoo" / "core" / "keywords.py").read_text()


def test_what_is_written_from_the_settings_is_of_today() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "settings.py"))
    for path, kinds in script["KEYWORDS"].items():
        assert path.read_text() == script["keywords"](kinds), "run python scripts/settings.py"
    assert script["PAGE"].read_text() == script["page"](), "run python scripts/settings.py"


def test_keyword_arguments_are_sorted_into_their_dataclasses() -> None:
    scaffold, recipe = sorted_into({"lr": 0.1, "num_blocks": 2}, Scaffold, Recipe, what="here")
    assert (scaffold.num_blocks, recipe.lr, recipe.epochs) == (2, 0.1, None)
    assert sorted_into(together(scaffold, recipe), Scaffold, Recipe, what="here") == [scaffold, recipe]
    with pytest.raises(UsageError, match=r"here has no setting 'num_block'\. Did you mean num_blocks"):
        sorted_into({"num_block": 2}, Scaffold, Run, what="here")
    with pytest.raises(UsageError, match="num_blocks=0"):
        sorted_into({"num_blocks": 0}, Scaffold, what="here")


def test_no_setting_stands_in_two_tables_of_a_trial() -> None:
    tables = (Scaffold, Recipe, Run)
    assert len(settings_of(*tables)) == sum(len(settings_of(table)) for table in tables)
