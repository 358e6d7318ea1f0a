"""blox.dataset"""

from blockzoo.nas import BenchmarkingDataset, Dataset, EnvInfoDataset, StaticInfoDataset
from blockzoo.nas.benchmark.loading import from_folder as _from_folder

preferred_ext = None
"""Set it to suffixes in order of preference; `from_folder` uses them where it is given none."""


def from_folder(folder, *arguments, preferred_ext=None, **options):
    """`blockzoo.nas.from_folder`, with the module's `preferred_ext` as its default."""
    chosen = preferred_ext if preferred_ext is not None else globals()["preferred_ext"]
    return _from_folder(folder, *arguments, preferred_ext=chosen, **options)
