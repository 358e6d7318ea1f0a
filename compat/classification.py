"""classification.py DIR --arch=block_resnet18 ... --do_train --do_eval: networks on tiles, as the earlier script trained them.

The options, their letters and their defaults are the earlier ones; `blockzoo tile train` does the work. The weights lie in
OUT_DIR/NAME_ckpt.pth.tar, for --resume_from; the rows and all else in OUT_DIR too.
"""

from __future__ import annotations

import argparse
import re
import sys

from _compat import main

from blockzoo.cli import main as blockzoo
from blockzoo.execution.queue import gpus as visible_gpus

PASSED_ON = (
    "resume_from block_size type padding_mode effective_train_size effective_valid_size effective_test_size "
    "epochs batch_size momentum workers validation_split milestones learning_rate weight_decay"
).split()
FLAGS = "do-train do-eval cpu deterministic reset-optimizer dry-run".split()


def parser() -> argparse.ArgumentParser:
    """The earlier options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("data", metavar="DIR", help="folder of the dataset")
    made.add_argument("--dataset", default="cifar10")
    made.add_argument("--arch", "-a", default="resnet18")
    made.add_argument("--name", "-n", help="name of the run and of its weights")
    made.add_argument("--out-dir", "-o", default="logs/resnet18")
    made.add_argument("--gpus", help="numbers with commas between them (default: all)")
    made.add_argument("--workers", "-j", default="4", help="processes that read images")
    made.add_argument("--epochs", default="360")
    made.add_argument("--batch-size", "-b", default="512", help="of all GPUs together")
    made.add_argument("--learning-rate", "--lr", default="0.1")
    made.add_argument("--momentum", default="0.9")
    made.add_argument("--weight-decay", "--wd", default="5e-4")
    made.add_argument("--milestones", "--ms", help="as in 30,60; the mobilenets take a cosine")
    made.add_argument("--validation-split", "--valid-size", "--vs", help="share of the training images")
    for name, letters in (("train", "etrs"), ("valid", "evs"), ("test", "etes")):
        made.add_argument(f"--effective-{name}-size", f"--{letters}", help="share of the images")
    made.add_argument("--block-size", help="as in 28,28")
    made.add_argument("--type", help="0 for tiles of so many pixels, 1 for so many tiles")
    made.add_argument("--padding-mode", help="constant, replicate or reflect")
    made.add_argument("--resume-from", help="checkpoint to go on from")
    for name in FLAGS:
        letters = ["--det"] if name == "deterministic" else []
        made.add_argument(f"--{name}", *letters, action="store_true")
    for name in (["--print-freq", "-p"], ["--image-size"], ["--seed"]):
        made.add_argument(*name)
    made.add_argument("--disable-tqdm", action="store_true")
    return made


def translated(given: argparse.Namespace) -> list[str]:
    """The same request as words of `blockzoo tile train`."""
    words = [given.data, "--dataset", given.dataset, "--arch", given.arch, "--out-dir", given.out_dir]
    if "mobilenet" in given.arch:
        given.milestones = None  # the earlier script did not read them there
    for name in [*PASSED_ON, "image_size", "seed"]:
        if getattr(given, name) is not None:
            words.append(f"--{name.replace('_', '-')}={getattr(given, name)}")
    words += [f"--{name}" for name in FLAGS if getattr(given, name.replace("-", "_"))]
    everywhere = ",".join(map(str, range(len(visible_gpus("auto"))))) or None
    if (gpus := given.gpus or everywhere) and not given.cpu:
        words.append(f"--gpus={gpus}")
    if given.name:
        words.append(f"--name={given.name}")
    if given.do_train:
        words.append(f"--save={given.out_dir}/{given.name + '_' if given.name else ''}ckpt.pth.tar")
    return words


def run(words: list[str]) -> int:
    """What the earlier script did, by `blockzoo tile train`; returns its exit code."""
    given = parser().parse_args(
        [re.sub(r"^--[^=]+", lambda m: m[0].replace("_", "-"), word) for word in words]
    )
    if not given.do_train and not given.do_eval:
        print("neither --do_train nor --do_eval was given: there is nothing to do")
        return 0
    return blockzoo(["tile", "train", *translated(given)])


if __name__ == "__main__":
    main(lambda: sys.exit(run(sys.argv[1:])))
