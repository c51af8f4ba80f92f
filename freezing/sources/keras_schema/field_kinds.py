"""Which kind of value a field may have, by its name. `values` says what each kind lets through."""

from freezing.sources.keras_schema.parts import CHOICES

_NAMES_BY_KIND: dict[str, str] = {
    "flag": (
        "trainable dynamic autocast experimental_autocast sparse ragged optional use_bias "
        "tie_weights mask_zero robust_masking softmax_robust_masking center renorm synchronized "
        "fused normalize keepdims reset_after unit_forget_bias return_sequences return_state "
        "go_backwards stateful unroll time_major zero_output_for_mask use_scale flash_attention "
        "use_gate invert crop_to_aspect_ratio pad_to_aspect_ratio antialias power_to_db "
        "all_ops rms_scaling pad_to_max_tokens verify_shape align_corners "
        "half_pixel_centers has_input_vocabulary"
    ),
    "size": (
        "units filters groups depth_multiplier rank implementation input_dim output_dim "
        "input_length lora_rank gptq_unpacked_column_size virtual_batch_size num_heads key_dim "
        "value_dim head_dim num_query_heads num_key_value_heads sliding_window n num_constants "
        "bins max_number num_tokens num_bins num_oov_indices max_tokens vocabulary_size "
        "output_sequence_length batch_size projection_dim height width fft_length sequence_stride "
        "sequence_length num_mel_bins"
    ),
    "count": "power_iterations num_chains chain_depth num_ops",
    "integers": (
        "kernel_size strides dilation_rate pool_size cropping size output_size output_padding "
        "axis axes dims target_shape output_shape attention_axes shared_axes noise_shape "
        "batch_input_shape batch_shape input_shape build_input_shape shape tile_grid_size ngrams "
        "query_shape key_shape value_shape input_axes output_axes"
    ),
    "number": (
        "l1 l2 max_value min_value negative_slope threshold theta momentum epsilon "
        "renorm_momentum rate stddev dropout recurrent_dropout lora_alpha logit_soft_cap minval "
        "maxval gain clip_limit sampling_rate min_freq max_freq top_db mag_exp min_power ref_power "
        "drop_path_rate init_values"
    ),
    "numbers": (
        "alpha mean variance offset factor value_range fill_value height_factor width_factor "
        "x_factor y_factor brightness_factor contrast_factor saturation_factor hue_factor sigma "
        "addition_factor threshold_factor bin_boundaries mask_value value weights idf_weights salt"
    ),
    "name": "name",
    "dtype": "dtype input_dtype output_dtype",
    "seed": "seed",
    "activation": "activation recurrent_activation",
    "initializer": (
        "kernel_initializer bias_initializer recurrent_initializer depthwise_initializer "
        "pointwise_initializer embeddings_initializer beta_initializer gamma_initializer "
        "moving_mean_initializer moving_variance_initializer alpha_initializer"
    ),
    "regularizer": (
        "activity_regularizer kernel_regularizer bias_regularizer recurrent_regularizer "
        "depthwise_regularizer pointwise_regularizer embeddings_regularizer beta_regularizer "
        "gamma_regularizer alpha_regularizer"
    ),
    "constraint": (
        "kernel_constraint bias_constraint recurrent_constraint depthwise_constraint "
        "pointwise_constraint embeddings_constraint beta_constraint gamma_constraint "
        "alpha_constraint"
    ),
    "layer": "layer backward_layer",
    "layers": "layers",
    "cell": "cell",
    "cells": "cells",
    "equation": "equation subscripts",
    "letters": "bias_axes",
    "clipping": "renorm_clipping",
    "token": "mask_token oov_token",  # nosec B105 - names of fields
    "vocabulary": "vocabulary",
    "quantization": "quantization_config",
    "quantizer": "weight_quantizer activation_quantizer",
    "node_def": "node_def",
    "constants": "constants",
}

KINDS: dict[str, str] = {
    name: kind for kind, names in _NAMES_BY_KIND.items() for name in names.split()
}


def fields_of(text: str, others: str = "") -> dict[str, str]:
    """Return the kind of each field of a line of `layers`, `parts` or `operations`.

    `others` is the kind of fields that have none by their name.
    """
    found = {}
    for field in text.split():
        name, _, kind = field.partition(":")
        kind = kind or KINDS.get(name, "")
        if not kind or name in CHOICES:
            kind = "choice" if name in CHOICES else others
        if not kind:
            raise KeyError(name)
        found[name] = kind
    return found
