"""Finds the calls that could run code, start processes, read objects or write files, by their names in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

KINDS: dict[str, set[str]] = {
    "import": set(
        "import_module __import__ spec_from_file_location exec_module module_from_spec run_module run_path find_spec "
        "load_module load_object source_to_code".split()
    ),
    "code": {"exec", "eval", "compile"},
    "process": set(
        "system popen Popen check_output check_call getoutput spawnv spawnl execv execve execl fork forkpty "
        "Process Pool ProcessPoolExecutor get_context startfile".split()
    ),
    "object": set(
        "torch.load torch.jit.load torch.hub.load load_state_dict_from_url pickle.load pickle.loads Unpickler "
        "np.load numpy.load yaml.load yaml.unsafe_load yaml.full_load marshal.loads marshal.load shelve.open "
        "joblib.load read_pickle dill.load cloudpickle.loads extractall unpack_archive".split()
    ),
    "temporary": set(
        "tempfile.mktemp tempfile.mkstemp tempfile.mkdtemp tempfile.NamedTemporaryFile tempfile.TemporaryFile "
        "tempfile.TemporaryDirectory mktemp mkstemp mkdtemp NamedTemporaryFile TemporaryDirectory gettempdir".split()
    ),
    "write": set(
        "os.open write_text write_bytes shutil.copyfile shutil.copy shutil.copy2 shutil.copytree shutil.move shutil.rmtree "
        "symlink_to hardlink_to os.symlink os.link os.rename rename "
        "savefig torch.save np.save np.savez imsave to_csv urlretrieve memmap".split()
    ),
}
NAMESAKES = frozenset(
    "re.compile torch.compile platform.system json.dump check_output screen.check_output copy.copy".split()
)
"""Calls of others that have such a name."""


@dataclass(frozen=True, order=True)
class Call:
    """One call: the file, the function it stands in, and its name."""

    file: str
    within: str
    name: str
    line: int = 0
    source: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        return self.file, self.within, self.name


def calls(path: Path) -> Iterator[tuple[str, Call]]:
    """Each dangerous call of a file, with its kind."""
    file = str(path.relative_to(ROOT))
    yield from _of(ast.parse(path.read_text()), file, "")


def _of(node: ast.AST, file: str, within: str) -> Iterator[tuple[str, Call]]:
    for child in ast.iter_child_nodes(node):
        inner = within
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{within}.{child.name}".lstrip(".")
        if isinstance(child, ast.Call) and (kind_and_name := _kind(child)):
            kind, name = kind_and_name
            yield kind, Call(file, within or "-", name, child.lineno, ast.unparse(child))
        yield from _of(child, file, inner)


def _kind(call: ast.Call) -> tuple[str, str] | None:
    full = _name(call.func)
    last = full.rpartition(".")[2]
    if any(keyword.arg == "shell" for keyword in call.keywords):
        return "process", "shell="
    if full.startswith("subprocess."):
        return "process", full
    if _harmless(full, call):
        return None
    if last == "open" and _writes(call):
        return "write", "open"
    for kind, names in KINDS.items():
        for wanted in names:
            if full == wanted or ("." not in wanted and last == wanted):
                return kind, full if "." in wanted else last
    return None


def _harmless(full: str, call: ast.Call) -> bool:
    """Calls that are right wherever they stand: these are rules, not places."""
    last, source = full.rpartition(".")[2], ast.unparse(call)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    first = call.args[0] if call.args else None
    return (
        full in NAMESAKES
        or (last == "eval" and "." in full)  # of a network
        or (last == "write_text" and len(call.args) == 2)  # of core/files.py: path and text
        or (
            last in ("import_module", "find_spec") and isinstance(first, ast.Constant)
        )  # a name in our source
        or (full == "torch.load" and options.get("weights_only") == "True")
        or (full == "np.load" and options.get("allow_pickle", "False") == "False")
        or last == "TemporaryDirectory"  # a random name, for its maker alone
        or "temporary" in source  # what write_atomically made: a random name, opened by its maker
    )


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _writes(call: ast.Call) -> bool:
    """Whether a file is opened to be written, or in a mode that is not to be seen."""
    values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return any(
        isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and set(value.value) & set("wax+")
        and set(value.value) <= set("rwaxbt+")
        for value in values
    )
