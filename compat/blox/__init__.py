"""`PYTHONPATH=compat python their_script.py`: the published package's names, served by blockzoo.nas."""

from blockzoo.nas import (
    BenchmarkingDataset,
    Dataset,
    EnvInfoDataset,
    StaticInfoDataset,
    __version__,
    from_folder,
)

from . import dataset, graph_utils, io, search_space, utils
