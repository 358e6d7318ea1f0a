"""For the tests of your own blocks: `check_block(MyBlock)` raises with every fault, as every command would refuse it."""

from blockzoo.models.contract import check_block
from blockzoo.models.examination import examine
from blockzoo.models.findings import Examined

__all__ = ["Examined", "check_block", "examine"]
