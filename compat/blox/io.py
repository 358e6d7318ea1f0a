"""blox.io"""

from blockzoo.nas.files.io import has_C, read_dataset_file
