"""The errors a user can meet. Each message quotes the input and names the remedy."""

from __future__ import annotations

from blockzoo.core.text import plain


class BlockzooError(Exception):
    """Something went wrong that the user should read as one sentence; the command ends with `exit_code`.

    What a terminal would obey in it, as in names from a file, is written out.
    """

    exit_code = 1

    def __str__(self) -> str:
        return plain(str(self.args[0]) if len(self.args) == 1 else super().__str__())


def reason_of(error: BaseException) -> str:
    """One line that says what went wrong: our own sentence, or the kind of an error of others with theirs."""
    text = " ".join(str(error).split())
    return text if isinstance(error, BlockzooError) else f"{type(error).__name__}: {text}"


class UsageError(BlockzooError, ValueError):
    """The request itself is wrong: an unknown name, a bad value, an empty grid."""

    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """A name that no registry knows. Also a `KeyError`, since registries are mappings."""


class DataError(UsageError):
    """A dataset is missing, truncated or not what its name says."""


class StoreError(BlockzooError):
    """The results store or an export cannot be read or written; what was stored before is intact."""


class Damaged(StoreError):
    """A record or a file is not as it was written, or was written by a newer version; the message says which and why."""


class Diverged(BlockzooError):
    """A loss stopped being finite. The trial ends as `diverged`; the sweep goes on."""


class OutOfMemory(BlockzooError):
    """A training step did not fit; the message names the batch size that would."""


class RankLost(BlockzooError):
    """One of several processes that work together ended or does not answer; the message says how to go on."""


class RunnersLost(BlockzooError):
    """Where the jobs run is gone: the head of a cluster. What was stored stays; the message says how to go on."""


class SourcesChanged(BlockzooError):
    """Files of this package changed while jobs were started from it; the message names them and says how to go on."""


class CheckFailed(BlockzooError):
    """A fast path differs from the plain way it stands for; the message names the operation. No number is given."""


class ContractBroken(CheckFailed, UsageError):
    """A block does not do what the scaffold relies on; the message names every fault."""
