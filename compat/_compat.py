"""What the adapters share: an error of ours is a sentence and an exit code, not a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from blockzoo.core.errors import BlockzooError
from blockzoo.core.text import plain


def main(call: Callable[[], object]) -> NoReturn:
    """Call, and end the process with the exit code of what happened."""
    try:
        call()
    except BlockzooError as error:
        say(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; what was finished is stored", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def say(*parts: object, file: Any = None) -> None:
    """Print at once, names as text whatever they hold."""
    print(*(plain(str(part)) for part in parts), file=file, flush=True)
