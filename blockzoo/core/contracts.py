"""THE DOORS: every kind of extension of blockzoo, on one screen.

Each door is a contract (what to write) and a registry (where it is found). Adding one thing touches one
file: the registry reads the folder of the same name, so nothing is listed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from blockzoo.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from blockzoo.blockwise.run.frame import Frame, RoundRecord
    from blockzoo.core.record import Record
    from blockzoo.core.spec import NetworkSpec
    from blockzoo.core.subject import Subject
    from blockzoo.data import ImageData
    from blockzoo.execution.jobs import Job
    from blockzoo.nas.search.task import Query

POSITIONS = ("early", "mid", "late")
"""Where in the scaffold the block under test stands: stage 1, 2 or 3."""


class Block(Protocol):
    """A convolutional block: maps (B, in_channels, H, W) to (B, out_channels, ceil(H/stride), ceil(W/stride))."""

    def __call__(self, in_channels: int, out_channels: int, stride: int, position: str) -> nn.Module: ...


class Dataset(Protocol):
    """Labelled images that carry their own shape, classes, mean, std and split; made without arguments."""

    def load(self, roots: Sequence[Path], *, image_size: int | None, download: bool) -> ImageData:
        """Find the images in one of the folders `roots`; DataError says what was expected where."""
        ...


class SubjectResolver(Protocol):
    """What a subject's prefix means: builds the network of `prefix:rest`."""

    def __call__(self, subject: Subject, spec: NetworkSpec) -> nn.Module: ...


class Runtime(Protocol):
    """How a network is made ready to be timed: returns the callable whose calls are timed."""

    def __call__(self, model: nn.Module, example: Tensor) -> Callable[[Any], Any]: ...


class Executor(Protocol):
    """Where jobs run. Yields the records of each in order of completion; never raises for a failing job."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]: ...


class Engine(Protocol):
    """How a block-wise run makes a communication round; made without arguments, may keep state between rounds."""

    def run(self, frame: Frame) -> RoundRecord:
        """One round on the frame's centre network."""
        ...


class MeasurementUnit(Protocol):
    """A quantity of a block-wise run; made with the options of its line, `name option=value`."""

    def measure(self, frame: Frame) -> dict[str, Any]:
        """Values by name, the unit at the end of the name; numbers, lists of one per block, or arrays."""
        ...


class Stopper(Protocol):
    """When a run ends before its last round; made from the text behind its name (`accuracy:0.9`)."""

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        """Told the validation values of each report in turn; why the run should end, if it should."""
        ...


class Curriculum(Protocol):
    """Which training examples a round draws from, and how often; made from the text behind its name."""

    def weights(self, round: int, frame: Frame) -> Tensor | None:
        """(N,) tensor of weights of 0 or more, one per example; None for all alike."""
        ...


class Schedule(Protocol):
    """A factor over the rounds of a run, for step sizes, K or the share of workers; made from the text behind its name."""

    def factor(self, round: int, rounds: int) -> float:
        """The factor in round 0, 1, ... of `rounds`."""
        ...


class Search(Protocol):
    """A search algorithm, made from (task, seed): proposes networks and hears what their training came to."""

    def ask(self) -> Query:
        """The next network to train, and for how many epochs."""
        ...

    def tell(self, query: Query, value: float) -> None:
        """Its accuracy, or whatever the task maximises."""
        ...


class Check(Protocol):
    """A fast path compared with the plain way where it is used: a function that returns the largest deviation found.

    Its docstring says what is compared with what, then has the paragraphs `Catches:`, `Tolerance:` and `Cost:` that
    docs/trust.md shows. A test marked `@pytest.mark.mutation("name")` breaks the fast path and sees it fail.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> float:
        """CheckFailed where the deviation is more than is tolerated."""
        ...


HOW_TO_ADD_A_BLOCK = """Your own block can be named in four ways:
  --plugin path/to/file.py          (a file with @register_block classes; or BLOCKZOO_PLUGINS=path/to/file.py)
  path/to/file.py:ClassName         (as the block's name)
  package.module:ClassName          (as the block's name)
  an entry point in the group "blockzoo.blocks" of an installed package
To keep plugins for a project: plugins = ["path/to/file.py"] under [tool.blockzoo] in pyproject.toml, then `blockzoo trust`."""

BLOCKS = Registry("BLOCKS", "block", "blockzoo.blocks", how_to_add=HOW_TO_ADD_A_BLOCK)
DATASETS = Registry("DATASETS", "dataset", "blockzoo.data", methods=("load",))
NETWORKS = Registry("NETWORKS", "network", "blockzoo.models", "blockzoo.tiling", files=False)
SUBJECTS = Registry(
    "SUBJECTS", "subject prefix", "blockzoo.models", "blockzoo.nas", "blockzoo.tiling", files=False
)
PROTOCOLS = Registry("PROTOCOLS", "protocol", "blockzoo.training")
RUNTIMES = Registry("RUNTIMES", "runtime", "blockzoo.measure.runtimes")
SEARCHES = Registry("SEARCHES", "search algorithm", "blockzoo.nas.search", methods=("ask", "tell"))
ENGINES = Registry("ENGINES", "update engine", "blockzoo.blockwise.engines", methods=("run",))
UNITS = Registry("UNITS", "measurement unit", "blockzoo.blockwise.units", methods=("measure",))
CURRICULA = Registry("CURRICULA", "curriculum", "blockzoo.blockwise", methods=("weights",))
SCHEDULES = Registry("SCHEDULES", "schedule", "blockzoo.blockwise", methods=("factor",))
STOPPERS = Registry("STOPPERS", "stopper", "blockzoo.training", methods=("reason_to_stop",))
EXECUTORS = Registry("EXECUTORS", "executor", "blockzoo.execution", methods=("run",))
CHECKS = Registry("CHECKS", "check", "blockzoo", files=False)
