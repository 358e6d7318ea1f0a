"""`python -m blockzoo.blockwise`, also under torchrun: the command `blockzoo blockwise`."""

import sys

if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["blockwise", *sys.argv[1:]]))
