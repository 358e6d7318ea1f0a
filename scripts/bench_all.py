#!/usr/bin/env python3
"""The ten blocks of the published picture at every position: `blockzoo sweep` with its settings; `--blocks all` for all.

CIFAR-100, 50 epochs, 5 seeds, unless options say otherwise; all options of `blockzoo sweep` work.
`--quick` is a first look in minutes: digits, 4 epochs, 1 seed, a narrow scaffold.
"""

import sys
from itertools import pairwise

TEN = (
    "EdgeResidual GhostBottleneckV3 InvertedResidual MBConvLNBlock MobileOneBlock RepMixer ReparamLargeKernelConv "
    "ResNetBasicBlock ResNetBottleneck UniversalInvertedBottleneck"
)
PUBLISHED = {
    "--blocks": TEN,
    "--positions": "all",
    "--seeds": "5",
    "--dataset": "cifar100",
    "--epochs": "50",
}
QUICK = {"--blocks": TEN, "--positions": "all", "--seeds": "1", "--dataset": "digits", "--epochs": "4"}
QUICK |= {"--batch-size": "64", "--base-channels": "8", "--num-blocks": "1"}


def options(argv: list[str]) -> list[str]:
    """The given options after the defaults they do not replace."""
    quick, given = "--quick" in argv, [word for word in argv if word != "--quick"]
    named = {word.partition("=")[0].replace("_", "-") for word in given}
    defaults = {k: v for k, v in (QUICK if quick else PUBLISHED).items() if k not in named}
    if not quick and "--dataset" in defaults and not _have(defaults["--dataset"], given):
        del defaults["--dataset"]
    return [*(word for pair in defaults.items() for text in pair for word in text.split()), *given]


def _have(dataset: str, given: list[str]) -> bool:
    """Is the dataset to be had? If not, the sweep's own default (and its fallback, which it says) is used."""
    from blockzoo.core.errors import DataError
    from blockzoo.data import load_dataset

    if "--help" in given:
        return True
    data_dir = next((b for a, b in pairwise(given) if a.replace("_", "-") == "--data-dir"), None)
    try:
        load_dataset(dataset, data_dir)
    except DataError as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["sweep", *options(sys.argv[1:])]))
