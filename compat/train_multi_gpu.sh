#!/bin/bash
# train_multi_gpu.sh [FIRST] [MODELS_PER_GPU] [options of `blockzoo nas train`]: so many networks for each GPU (or core), from FIRST on.
set -e
first=${1:-0}
each=${2:-25}
shift $(($# > 2 ? 2 : $#))
exec blockzoo nas train --start "$first" --per-worker "$each" "$@"
