"""What the adapters share: an error of ours is a sentence and an exit code, not a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from blockzoo.core.errors import BlockzooError


def main(call: Callable[[], object]) -> NoReturn:
    """Call, and end the process with the exit code of what happened."""
    try:
        call()
    except BlockzooError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; what was finished is stored", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
