"""nas: a macro search space of 91,125 CNNs to query, build, search and extend; 300 were trained here, a model predicts the rest.

`import blockzoo.nas as blox` runs scripts written for the published benchmark. Names load on first use; only building and
training networks imports torch.

Examples:
    An index stands for one network. Its vector has two nodes a stage: [op], and [op, whether it reads node 1, whether it reads
    the cell's input, whether node 1 is also added to the cell's output].

    >>> from blockzoo.nas import MacroSpace
    >>> space = MacroSpace()
    >>> len(space)
    91125
    >>> space.arch_vec(12345)
    [[[0], [1, 1, 1, 0]], [[1], [1, 1, 0, 0]], [[0], [2, 1, 0, 0]]]
    >>> space.index([[[0], [1, 1, 1, 0]], [[1], [1, 1, 0, 0]], [[0], [2, 1, 0, 0]]])
    12345
"""

import lazy_loader

__version__ = "1.0.0"
"""Of the published package whose names are served here; `blockzoo.__version__` is ours."""
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names are in __init__.pyi
