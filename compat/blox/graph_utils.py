"""blox.graph_utils"""

from blockzoo.nas.space.graph_utils import get_model_graph, graph_hash, is_empty
