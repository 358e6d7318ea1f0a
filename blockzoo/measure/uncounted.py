"""Operations that have no MACs: known to be no convolution and no matrix product, so that all others can be named."""

from __future__ import annotations

import functools

import torch

FREE = frozenset(
    """
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
    adaptive_avg_pool1d max_pool2d_with_indices max_pool3d_with_indices mkldnn_max_pool2d mkldnn_adaptive_avg_pool2d
    fractional_max_pool2d fractional_max_pool3d max_unpool2d max_unpool3d

    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _native_batch_norm_legit_functional
    _batch_norm_with_update _batch_norm_with_update_functional _batch_norm_no_update cudnn_batch_norm batch_norm_stats
    batch_norm_elemt batch_norm_gather_stats batch_norm_gather_stats_with_counts native_layer_norm native_group_norm
    _fused_rms_norm norm renorm linalg_vector_norm _weight_norm_interface

    sum mean amax amin aminmax _aminmax argmax argmin max min median nanmedian mode prod var var_mean std std_mean nansum
    logsumexp cumsum cumprod cummax cummin _cummax_helper _cummin_helper logcumsumexp _logcumsumexp all any count_nonzero trace
    kthvalue topk sort _unique _unique2 unique_dim unique_consecutive unique_dim_consecutive histc bincount dist equal
    _is_all_true _is_any_true searchsorted bucketize isin nonzero nonzero_static allclose

    _softmax _log_softmax _safe_softmax _masked_softmax log_sigmoid_forward _prelu_kernel prelu rrelu_with_noise glu gelu
    hardswish mish softplus threshold heaviside copysign floor_divide eq ne lt le gt ge abs addr

    nll_loss_forward nll_loss2d_forward mse_loss smooth_l1_loss huber_loss binary_cross_entropy multi_margin_loss
    binary_cross_entropy_with_logits soft_margin_loss multilabel_margin_loss_forward

    native_dropout _fused_dropout bernoulli rand randn randint randperm normal normal_functional uniform exponential geometric
    cauchy log_normal poisson multinomial binomial rand_like randn_like randint_like _standard_gamma random

    empty empty_like empty_strided empty_permuted new_empty new_empty_strided new_zeros new_ones new_full zeros zeros_like ones
    ones_like full full_like arange range linspace logspace eye scalar_tensor tril_indices triu_indices lift lift_fresh
    _efficientzerotensor bartlett_window blackman_window hamming_window hann_window kaiser_window complex fill zero
    fft_fftfreq fft_rfftfreq

    cat stack _stack _chunk_cat clone copy _copy_from _to_copy gather index index_select index_add index_copy index_fill
    index_put _index_put_impl index_reduce _unsafe_index _unsafe_index_put _unsafe_masked_index masked_fill masked_scatter
    masked_select scatter scatter_add scatter_reduce select_scatter slice_scatter diagonal_scatter as_strided_scatter take put
    where flip roll rot90 repeat repeat_interleave tril triu constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d
    replication_pad1d replication_pad2d replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle im2col col2im
    block_diag diag_embed embedding _embedding_bag _embedding_bag_forward_only embedding_renorm _unsafe_view _reshape_alias
    resize resize_as set set_data detach _pin_memory record_stream _local_scalar_dense item unsafe_split unsafe_split_with_sizes
    unfold squeeze unsqueeze t transpose as_strided view resolve_conj resolve_neg is_pinned is_same_size

    grid_sampler_2d grid_sampler_3d _grid_sampler_2d_cpu_fallback

    _fused_sdp_choice _thnn_fused_lstm_cell _thnn_fused_gru_cell _pack_padded_sequence _pad_packed_sequence
    _cudnn_init_dropout_state _cudnn_rnn_flatten_weight _use_cudnn_rnn_flatten_weight _assert_async _functional_assert_async
    _assert_tensor_metadata _functional_assert_scalar _print sym_size sym_stride sym_numel sym_storage_offset
    sym_is_contiguous is_contiguous

    fake_quantize_per_tensor_affine_cachemask fake_quantize_per_channel_affine_cachemask _fused_moving_avg_obs_fq_helper
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fake_quantize_learnable_per_tensor_affine
    _fake_quantize_learnable_per_channel_affine
    """.split()
)
"""Of aten, without the `_` of those that write in place. Distances are counted where they are a matrix product."""
FREE_OF_TORCHVISION = frozenset(("nms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"))
FREE_NAMESPACES = frozenset(("prim", "profiler", "c10d", "_c10d_functional"))
INTERPOLATION = ("upsample_", "_upsample_")


@functools.cache
def is_free(func: object) -> bool:
    """Is it known that an operation has no MACs? Pointwise ones and views are by what torch says of them, others by name."""
    if not isinstance(func, torch._ops.OpOverload):
        return False
    namespace, name = func.namespace, func._overloadpacket.__name__
    if namespace != "aten":
        return namespace in FREE_NAMESPACES or (namespace == "torchvision" and name in FREE_OF_TORCHVISION)
    name = name.rstrip("_")
    forward = name.removesuffix("_data").removesuffix("_backward").removesuffix("_copy")
    by_name = not FREE.isdisjoint((name, forward)) or name.startswith(INTERPOLATION)
    return by_name or torch.Tag.pointwise in func.tags or func.is_view
