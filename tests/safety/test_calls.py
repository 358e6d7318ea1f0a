"""Every call that could run code, start a process, read objects or write through a name is on a list, with its reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.safety.calls import ROOT, calls

NAMED = "its origin was checked by consent.py: the user named it"
OURS = "the module's name stands in our own source"
WORKER = "a body of ours, with a safe path and the consent of its parent (execution/children.py)"
CHILD = "a copy of this process, which imports nothing again"
ALLOWED = {
    ("blockzoo/blocks/lookup.py", "block_class", "load_object"): NAMED,
    (
        "blockzoo/core/plugins.py",
        "load_plugins",
        "load_module",
    ): "asked for by the user: by option, variable or trust",
    ("blockzoo/core/plugins.py", "load_module", "import_module"): "behind consent.check",
    ("blockzoo/core/plugins.py", "load_module", "spec_from_file_location"): "behind consent.check",
    ("blockzoo/core/plugins.py", "load_module", "module_from_spec"): "behind consent.check",
    ("blockzoo/core/plugins.py", "load_module", "exec_module"): "behind consent.check",
    (
        "blockzoo/core/plugins.py",
        "_FromSource.get_code",
        "source_to_code",
    ): "the source that was asked for, not what is cached",
    (
        "blockzoo/core/plugins.py",
        "own_code",
        "find_spec",
    ): "of a top-level name: nothing is imported to find it",
    (
        "blockzoo/core/plugins.py",
        "_OwnModules.find_spec",
        "find_spec",
    ): "what Python itself would ask for this import, whose code it then takes from the source",
    (
        "blockzoo/core/plugins.py",
        "module_file",
        "find_spec",
    ): "of a top-level name, or by PathFinder: nothing is imported",
    ("blockzoo/core/plugins.py", "load_object", "load_module"): NAMED,
    ("blockzoo/core/registry.py", "Registry._own_object", "load_object"): NAMED,
    (
        "blockzoo/core/contracts.py",
        "__getattr__",
        "import_module",
    ): "a room's doors, read from its own source",
    (
        "blockzoo/core/registry.py",
        "_importer",
        "import_module",
    ): "modules of the package, read from its own source",
    ("blockzoo/core/sources.py", "code_digest", "load_module"): NAMED,
    ("blockzoo/core/subject.py", "_why_a_block", "load_object"): NAMED,
    ("blockzoo/models/own.py", "own_class", "load_object"): NAMED,
    ("blockzoo/models/own.py", "_parameters", "load_object"): NAMED,
    ("blockzoo/core/extras.py", "needed", "import_module"): OURS,
    ("blockzoo/blockwise/run/probe.py", "_runs_in_a_child", "Process"): CHILD,
    ("blockzoo/blockwise/run/probe.py", "_runs_in_a_child", "get_context"): CHILD,
    ("blockzoo/nas/search/simulate.py", "_parallel", "Pool"): CHILD,
    ("blockzoo/nas/search/simulate.py", "_parallel", "get_context"): CHILD,
    ("blockzoo/execution/local.py", "LocalProcesses.__init__", "get_context"): WORKER,
    ("blockzoo/execution/local.py", "LocalProcesses._started", "Process"): WORKER,
    ("blockzoo/execution/ranks.py", "run_together", "get_context"): WORKER,
    ("blockzoo/execution/ranks.py", "_Rank.__init__", "Process"): WORKER,
    ("blockzoo/nas/space/hashing.py", "_compute", "subprocess.Popen"): "a module of ours, with a safe path",
    (
        "blockzoo/core/environment.py",
        "_revision",
        "subprocess.run",
    ): "git, in the source tree of the package itself, no shell",
    ("blockzoo/core/documents.py", "from_yaml", "yaml.load"): "with a loader made from the safe one",
    (
        "blockzoo/data/cifar.py",
        "Cifar._from_batches",
        "pickle.loads",
    ): "the published bytes alone, by their digests",
    ("blockzoo/core/files.py", "write_atomically", "os.open"): "a random name, O_EXCL",
    ("blockzoo/core/files.py", "open_own", "os.open"): "O_NOFOLLOW",
    ("blockzoo/core/files.py", "_sync", "os.open"): "to read",
    (
        "blockzoo/core/files.py",
        "remove",
        "shutil.rmtree",
    ): "of a folder that is no link; rmtree follows none within",
    ("blockzoo/cli/app.py", "_told", "os.open"): "the null device",
    (
        "blockzoo/cli/app.py",
        "complete",
        "shell=",
    ): "the name of one of three; a file is written, nothing runs",
    ("blockzoo/nas/files/io.py", "_mapped", "os.open"): "to read",
    (
        "blockzoo/blockwise/run/earlier.py",
        "_copy",
        "shutil.copytree",
    ): "to a name that was removed before, links as links",
    ("blockzoo/blockwise/run/launch.py", "_take_part", "torch.save"): "into memory",
    ("blockzoo/testing.py", "_saved_and_loaded", "torch.save"): "into memory",
    ("blockzoo/report/drawing.py", "Figure._repr_png_", "savefig"): "into memory",
    (
        "blockzoo/blockwise/run/reports.py",
        "ReportFolder.afresh",
        "rename",
    ): "takes the place of a name, follows no link",
    (
        "blockzoo/blockwise/run/reports.py",
        "ReportFolder._aside.save",
        "np.save",
    ): "into the file that write_atomically made",
    (
        "blockzoo/core/arrays.py",
        "add_sums",
        "open",
    ): "behind the array in the file that write_atomically made",
    ("blockzoo/nas/benchmark/blackbox.py", "_save", "np.save"): "into the file that write_atomically made",
    ("blockzoo/publish/model_files.py", "_torch", "torch.save"): "into the file that write_atomically made",
    ("blockzoo/publish/model_files.py", "_onnx", "write_bytes"): "into the file that write_atomically made",
    ("blockzoo/execution/spool.py", "set_aside", "rename"): "takes the place of a name, follows no link",
    ("blockzoo/core/database.py", "Database._copy", "shutil.copyfile"): "into a folder of a random name",
    ("blockzoo/core/database.py", "Database._copy", "write_bytes"): "into a folder of a random name",
    ("blockzoo/core/repair.py", "_records_alone", "shutil.copyfile"): "into a folder of a random name",
    ("blockzoo/core/repair.py", "_salvage", "os.link"): "makes a name that must not be there",
    ("scripts/trust.py", "main", "write_text"): "a page of this repository",
    ("scripts/security.py", "main", "write_text"): "a page of this repository",
    ("scripts/reference.py", "main", "write_text"): "a page of this repository",
    ("scripts/columns.py", "main", "write_text"): "a page of this repository",
    ("scripts/zoo.py", "main", "write_text"): "a page of this repository",
    ("scripts/zoo.py", "_family", "import_module"): OURS,
    ("scripts/settings.py", "main", "write_text"): "a page and a module of this repository",
    ("scripts/reference.py", "_objects", "import_module"): OURS,
}
WHOLE_MODULES = {
    "os",
    "subprocess",
    "pickle",
    "marshal",
    "shelve",
    "runpy",
    "builtins",
    "importlib",
    "shutil",
    "tempfile",
    "yaml",
}
"""Imported as they are, so that their functions are seen by their names."""


def sources() -> list[Path]:
    return [
        path for folder in ("blockzoo", "compat", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def test_every_dangerous_call_is_known() -> None:
    by_place = {call.place: call for path in sources() for _, call in calls(path)}
    new = [
        f"{c.file}:{c.line} {c.within}: {c.source}" for place, c in by_place.items() if place not in ALLOWED
    ]
    assert not new, (
        "these are not on the list; is there another way, and if not, what makes each safe?\n"
        + "\n".join(new)
    )
    assert not set(ALLOWED) - set(by_place), "these are gone"
    assert all(len(reason) > 6 for reason in ALLOWED.values())


def test_what_is_dangerous_goes_by_its_own_name() -> None:
    hidden = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in WHOLE_MODULES:
                hidden += [
                    f"{path}: from {node.module} import {a.name}"
                    for a in node.names
                    if (node.module, a.name) not in FINE
                ]
            if isinstance(node, ast.Import):
                hidden += [
                    f"{path}: {a.name} as {a.asname}"
                    for a in node.names
                    if a.name in WHOLE_MODULES and a.asname
                ]
    assert not hidden, "\n".join(hidden)


def test_names_are_printed_by_what_makes_them_text() -> None:
    """In the package ruff forbids `print` (T20), and its one console is `cli/screen.py`; the adapters have `say`."""
    printing = [
        path.name
        for path in (ROOT / "compat").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "print"
        and not isinstance(node.args[0], ast.Constant)
    ]
    assert printing == ["_compat.py"]
    consoles = [
        str(path.relative_to(ROOT))
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("Console", "print", "sys.stdout.write", "sys.stderr.write")
        and path.is_relative_to(ROOT / "blockzoo")
    ]
    assert not consoles


FINE = {("tempfile", "TemporaryDirectory"), ("importlib", "metadata")}


DANGEROUS = """
import_module(name)
importlib.import_module(name)
__import__(name)
exec(text)
eval(text)
compile(t, f, 'exec')
runpy.run_path(p)
os.system(c)
os.popen(c)
subprocess.run(c)
subprocess.run(c, shell=True)
run(c, shell=False)
os.execv(a, b)
pickle.load(f)
pickle.loads(b)
torch.load(p)
torch.load(p, weights_only=False)
os.open(p, 1)
torch.load(p, weights_only=safe)
np.load(p, allow_pickle=True)
np.load(p, allow_pickle=x)
yaml.load(t, L)
tempfile.mktemp()
tempfile.mkstemp()
tempfile.NamedTemporaryFile()
open(p, 'w')
open(p, mode='a')
p.open('wb')
p.open('r+')
p.write_text(t)
p.write_bytes(b)
shutil.copyfile(a, b)
shutil.rmtree(p)
a.rename(b)
figure.savefig(p)
a.symlink_to(b)
load_object(a, b)
importlib.util.find_spec(name)
tarfile.extractall(p)
torch.hub.load(r, m)
loader.exec_module(m)
context.Process(target=f)
""".split("\n")[1:-1]
HARMLESS = """
network.eval()
re.compile(x)
write_text(path, text)
torch.load(p, weights_only=True)
np.load(p)
x.copy()
open(p)
p.open('rb')
importlib.util.find_spec('ray')
tempfile.TemporaryDirectory()
temporary.write_bytes(b)
""".split("\n")[1:-1]


@pytest.mark.parametrize("line", DANGEROUS)
def test_the_walk_sees(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.safety.calls.ROOT", tmp_path)
    for source in (line, f"class C:\n    def f(self):\n        return [g(lambda: {line})]\n"):
        (tmp_path / "a.py").write_text(source)
        assert [call for _, call in calls(tmp_path / "a.py")], source


@pytest.mark.parametrize("line", HARMLESS)
def test_the_walk_passes_over(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.safety.calls.ROOT", tmp_path)
    (tmp_path / "a.py").write_text(line)
    assert not list(calls(tmp_path / "a.py"))
