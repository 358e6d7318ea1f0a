"""blox.search_space"""

from blockzoo.nas.space.search_space import (
    all_ops,
    arch_vec_to_names,
    default_nodes,
    default_stages,
    get_all_architectures,
    get_model_hash,
    get_random_architectures,
    get_search_space,
    get_unique_architectures,
    ops_no_zero,
)
