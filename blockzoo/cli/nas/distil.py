"""distil: train a network with a teacher, block by block or from its logits, or fine-tune it"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.nas.options import Teaching


@expanded()
def distil(
    student: Annotated[int, Parameter(help="index of the network to train")],
    *,
    teacher: Annotated[int | None, Parameter(help="index of the teacher, which is trained first")] = None,
    teaching: Teaching,
    dataset: o.Dataset = None,
    data_dir: o.DataDir = None,
    image_size: o.ImageSize = None,
    limit_train: o.LimitTrain = None,
    seed: o.Seed = 0,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Train a network of the space beside a teacher of the space and print both validation accuracies.

    Examples:
        blockzoo nas distil 1234 --teacher 4321 --dataset digits --epochs 2
        blockzoo nas distil 1234 --scenario scratch --dataset digits
    """
    from blockzoo.nas.training.distillation import Lesson
    from blockzoo.nas.training.lessons import Images, teach
    from blockzoo.trials.request import load_data

    images = Images(load_data(dataset, data_dir, image_size), teaching.batch_size, limit_train, seed)
    lesson = Lesson(teaching.epochs, teaching.lr, teaching.finetune_epochs)
    accuracies = teach(student, teacher, teaching.scenario, images, lesson, width=teaching.width)
    summary = "\n".join(f"{name:8s}  validation accuracy {value:.4f}" for name, value in accuracies.items())
    rows = [{"network": name, "val_acc": value} for name, value in accuracies.items()]
    screen.answer(summary, rows, format)
    return 0
