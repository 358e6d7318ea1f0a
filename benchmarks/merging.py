"""How long it takes to make one results store of others: a million records, each verified on the way.

    python benchmarks/merging.py [--records 1000000] [--sources 10] [--folder /tmp]

The sources are made here, of 1,000 trials with ten epochs each and the times of their networks (5 kB a record), again and again
under other fingerprints. Printed are the seconds that `blockzoo store merge` takes for all of them, the table included, and those
of the copying alone; beside it copying the same files byte by byte (`cp`, synced), which verifies and counts nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: torch would take its profile.py for Python's

from benchmarks.store import records
from blockzoo.core.columns import seal
from blockzoo.core.environment import describe, environment
from blockzoo.core.merging import merge
from blockzoo.core.outputs import Outputs

TRIALS = 1000


def filled(folder: Path, count: int, name: str) -> Path:
    """A results folder with so many records, of which no other folder has one."""
    outputs = Outputs.at(folder)
    outputs.store().add(*records(TRIALS))
    with closing(sqlite3.connect(outputs.database, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        rows = {t: db.execute(f"SELECT * FROM {t}").fetchall() for t in ("records", "trials", "times")}
        for table in rows:
            db.execute(f"DELETE FROM {table}")
        number = 0
        while number < count:
            mark, numbers = f"{name}{number:x}-", {}
            for old, kind, fingerprint, *others, body, _ in rows["records"]:
                numbers[old] = number = number + 1
                known = (kind, mark + fingerprint, *others, body.replace(fingerprint, mark + fingerprint))
                db.execute(
                    "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (number, *known, seal(*known))
                )
            for table in ("trials", "times"):
                for old, fingerprint, *others, _ in rows[table]:
                    known = (
                        mark + fingerprint,
                        *(str(o).replace(fingerprint, mark + fingerprint) for o in others),
                    )
                    if table == "trials":
                        known = (known[0], mark + str(others[0]), *known[2:-1], known[-1])
                    marks = ", ".join("?" * (len(known) + 2))
                    db.execute(f"INSERT INTO {table} VALUES ({marks})", (numbers[old], *known, seal(*known)))
        db.execute("DELETE FROM totals")
        db.execute("INSERT INTO totals SELECT kind, count(*) FROM records GROUP BY kind")
        db.execute("COMMIT")
    return outputs.database


def main() -> None:
    """Print the seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=10)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print(describe(environment()))
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folders = [Path(place) / f"source{n}" for n in range(options.sources)]
        stores = [filled(f, options.records // options.sources, f"{n}-") for n, f in enumerate(folders)]
        size = sum(store.stat().st_size for store in stores)
        began = time.perf_counter()
        for number, store in enumerate(stores):
            shutil.copyfile(store, copy := Path(place) / f"copy{number}")
            subprocess.run(["sync", str(copy)], check=True)
            copy.unlink()
        copying = time.perf_counter() - began
        target = Outputs.at(Path(place) / "all")
        began = time.perf_counter()
        words = [
            sys.executable,
            "-m",
            "blockzoo",
            "store",
            "merge",
            *map(str, folders),
            "--output",
            str(target.folder),
        ]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        command = time.perf_counter() - began
        shutil.rmtree(target.folder)
        store = target.store()
        began = time.perf_counter()
        copied = sum(
            m.copied for m in merge(store, *(Outputs.at(folder).store(create=False) for folder in folders))
        )
        alone = time.perf_counter() - began
    print(f"{copied:,} records of {len(stores)} folders, {size / 2**30:.1f} GiB")
    print(
        f"blockzoo store merge {command:.1f} s; the copying alone {alone:.1f} s; cp and sync {copying:.1f} s"
    )


if __name__ == "__main__":
    main()
