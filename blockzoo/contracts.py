"""THE DOORS: every kind of extension of blockzoo, on one screen.

Each door is a contract (what to write) and a registry (where it is found); each is declared in the room whose things pass
through it, and all can be imported from here, without torch.
"""

from blockzoo.blockwise.contracts import (
    CURRICULA,
    ENGINES,
    SCHEDULES,
    UNITS,
    Centre,
    Curriculum,
    Engine,
    EngineOfClients,
    EngineOnRanks,
    MeasurementUnit,
    Resumable,
    Schedule,
)
from blockzoo.core.contracts import (
    ATTENTIONS,
    BLOCKS,
    CHECKS,
    CONVERSIONS,
    NETWORKS,
    POSITIONS,
    PROTOCOLS,
    QUANTITIES,
    RESULTS,
    SUBJECTS,
    Attention,
    Block,
    Check,
    Conversion,
    ConversionMaker,
    Network,
    ProtocolMaker,
    SubjectResolver,
)
from blockzoo.core.quantity import OnPaper, OnTheClock, Quantity
from blockzoo.core.result import Result
from blockzoo.data.contracts import DATASETS, Dataset, StreamedDataset
from blockzoo.execution.contracts import EXECUTORS, Executor, ExecutorMaker
from blockzoo.measure.contracts import RUNTIMES, Runtime
from blockzoo.nas.contracts import SEARCHES, Search, SearchMaker
from blockzoo.tiling.contracts import OPERATIONS, TileableOperation
from blockzoo.training.contracts import STOPPERS, Stopper

__all__ = [
    "ATTENTIONS",
    "BLOCKS",
    "CHECKS",
    "CONVERSIONS",
    "CURRICULA",
    "DATASETS",
    "ENGINES",
    "EXECUTORS",
    "NETWORKS",
    "OPERATIONS",
    "POSITIONS",
    "PROTOCOLS",
    "QUANTITIES",
    "RESULTS",
    "RUNTIMES",
    "SCHEDULES",
    "SEARCHES",
    "STOPPERS",
    "SUBJECTS",
    "UNITS",
    "Attention",
    "Block",
    "Centre",
    "Check",
    "Conversion",
    "ConversionMaker",
    "Curriculum",
    "Dataset",
    "Engine",
    "EngineOfClients",
    "EngineOnRanks",
    "Executor",
    "ExecutorMaker",
    "MeasurementUnit",
    "Network",
    "OnPaper",
    "OnTheClock",
    "ProtocolMaker",
    "Quantity",
    "Result",
    "Resumable",
    "Runtime",
    "Schedule",
    "Search",
    "SearchMaker",
    "Stopper",
    "StreamedDataset",
    "SubjectResolver",
    "TileableOperation",
]
