"""blox.io"""

from blockzoo.nas.io import has_C, read_dataset_file
