"""The layers of Keras 1, 2 and 3 that a file may name, with the fields of each.

Written down from what the layers of Keras 3.15, tf_keras 2.21 and older ones save, and not asked of
an installed Keras. A field has the kind of value that `kinds.KINDS` has for its name; where a layer
takes another kind, `field:kind` says so. A class or field that is not here is refused.
"""

# Fields that any layer may have.
ANY = (
    "name trainable dtype activity_regularizer batch_input_shape batch_shape input_shape "
    "input_dtype dynamic autocast experimental_autocast data_format"
)

_WEIGHTS = (
    "activation use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer "
    "kernel_constraint bias_constraint"
)
_LORA = "lora_rank lora_alpha quantization_config gptq_unpacked_column_size"
_CONV = (
    f"filters kernel_size strides padding dilation_rate groups {_WEIGHTS} rank lora_rank lora_alpha"
)
_TRANSPOSED = f"{_CONV} output_padding"
_DEPTHWISE = (
    f"{_CONV} depth_multiplier depthwise_initializer depthwise_regularizer depthwise_constraint"
)
_SEPARABLE = f"{_DEPTHWISE} pointwise_initializer pointwise_regularizer pointwise_constraint"
_LOCAL = f"filters kernel_size strides padding implementation {_WEIGHTS}"
_CELL = (
    f"units {_WEIGHTS} recurrent_initializer recurrent_regularizer recurrent_constraint dropout "
    "recurrent_dropout seed implementation rng_type"
)
_SEQUENCE = (
    "return_sequences return_state go_backwards stateful unroll time_major zero_output_for_mask "
    "input_dim input_length num_constants use_cudnn"
)
_GRU = "recurrent_activation reset_after"
_LSTM = "recurrent_activation unit_forget_bias"
_CONV_LSTM = (
    f"{_CELL} {_SEQUENCE} {_LSTM} filters kernel_size strides padding dilation_rate rank".replace(
        "units ", "", 1
    )
)
_POOL = "pool_size strides padding"
_NORM = (
    "axis epsilon center scale:flag beta_initializer gamma_initializer beta_regularizer "
    "gamma_regularizer beta_constraint gamma_constraint"
)
_BATCH_NORM = (
    f"{_NORM} momentum moving_mean_initializer moving_variance_initializer renorm renorm_clipping "
    "renorm_momentum synchronized virtual_batch_size fused"
)
_RANDOM = "seed rng_type force_generator:flag"
_IMAGE = f"{_RANDOM} factor bounding_box_format value_range"
_WARP = f"{_IMAGE} fill_mode fill_value interpolation"
_EMBEDDING = (
    "input_dim output_dim embeddings_initializer embeddings_regularizer embeddings_constraint "
    f"mask_zero input_length sparse weights {_LORA}"
)
_LOOKUP = (
    "max_tokens num_oov_indices mask_token oov_token vocabulary vocabulary_dtype vocabulary_size "
    "idf_weights invert output_mode sparse pad_to_max_tokens encoding salt oov_method "
    "has_input_vocabulary"
)
_ATTENTION = f"use_scale score_mode dropout {_RANDOM}"
_HEADS = (
    "dropout use_bias output_shape attention_axes flash_attention seed sliding_window use_gate "
    f"softmax_robust_masking query_shape key_shape value_shape {_WEIGHTS}"
)

LAYERS: dict[str, str] = {
    "InputLayer": "sparse ragged optional shape batch_size input_tensor:nothing type_spec:nothing",
    # core
    "Dense": f"units {_WEIGHTS} input_dim {_LORA}",
    "EinsumDense": f"equation output_shape bias_axes {_WEIGHTS} {_LORA}",
    "Embedding": _EMBEDDING,
    "ReversibleEmbedding": f"{_EMBEDDING} tie_weights reverse_dtype:dtype logit_soft_cap",
    "Activation": "activation",
    "ActivityRegularization": "l1 l2",
    "Identity": "",
    "Masking": "mask_value",
    "Flatten": "",
    "Reshape": "target_shape",
    "Permute": "dims",
    "RepeatVector": "n",
    # activations
    "ReLU": "max_value negative_slope threshold",
    "LeakyReLU": "alpha negative_slope",
    "PReLU": "alpha_initializer alpha_regularizer alpha_constraint shared_axes",
    "ELU": "alpha",
    "ThresholdedReLU": "theta",
    "Softmax": "axis robust_masking",
    # convolution
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _CONV),
    **dict.fromkeys(("Convolution1D", "Convolution2D", "Convolution3D"), _CONV),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED),
    **dict.fromkeys(
        ("Convolution1DTranspose", "Convolution2DTranspose", "Convolution3DTranspose"), _TRANSPOSED
    ),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **dict.fromkeys(("SeparableConvolution1D", "SeparableConvolution2D"), _SEPARABLE),
    **dict.fromkeys(("LocallyConnected1D", "LocallyConnected2D"), _LOCAL),
    # pooling
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D", "AveragePooling3D"), _POOL),
    **dict.fromkeys(("AvgPool1D", "AvgPool2D", "AvgPool3D"), _POOL),
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D", "MaxPooling3D"), _POOL),
    **dict.fromkeys(("MaxPool1D", "MaxPool2D", "MaxPool3D"), _POOL),
    **dict.fromkeys(
        (f"Global{kind}{n}D" for kind in ("AveragePooling", "AvgPool") for n in "123"), "keepdims"
    ),
    **dict.fromkeys(
        (f"Global{kind}{n}D" for kind in ("MaxPooling", "MaxPool") for n in "123"), "keepdims"
    ),
    **dict.fromkeys(
        (f"Adaptive{kind}Pooling{n}D" for kind in ("Average", "Max") for n in "123"), "output_size"
    ),
    # resizing of feature maps
    **dict.fromkeys(("Cropping1D", "Cropping2D", "Cropping3D"), "cropping"),
    **dict.fromkeys(("UpSampling1D", "UpSampling2D", "UpSampling3D"), "size interpolation"),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"), "padding"),
    # merging
    **dict.fromkeys(("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"), ""),
    "Concatenate": "axis",
    "Dot": "axes normalize",
    # normalisation
    **dict.fromkeys(
        ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2"), _BATCH_NORM
    ),
    "SyncBatchNormalization": _BATCH_NORM,
    "LayerNormalization": f"{_NORM} rms_scaling",
    "GroupNormalization": f"{_NORM} groups",
    "RMSNormalization": "axis epsilon",
    "UnitNormalization": "axis",
    "SpectralNormalization": "layer power_iterations",
    # regularisation
    "Dropout": f"rate noise_shape {_RANDOM}",
    "AlphaDropout": f"rate noise_shape {_RANDOM}",
    "GaussianDropout": f"rate {_RANDOM}",
    "GaussianNoise": f"stddev {_RANDOM}",
    **dict.fromkeys(
        ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), f"rate noise_shape {_RANDOM}"
    ),
    # attention
    "Attention": _ATTENTION,
    "AdditiveAttention": _ATTENTION,
    "MultiHeadAttention": f"num_heads key_dim value_dim {_HEADS}",
    **dict.fromkeys(
        ("GroupQueryAttention", "GroupedQueryAttention"),
        f"head_dim num_query_heads num_key_value_heads {_HEADS}",
    ),
    # recurrence
    "RNN": f"cell {_SEQUENCE}",
    "SimpleRNN": f"{_CELL} {_SEQUENCE}",
    **dict.fromkeys(("GRU", "GRUV1", "GRUV2"), f"{_CELL} {_SEQUENCE} {_GRU}"),
    **dict.fromkeys(("LSTM", "LSTMV1", "LSTMV2"), f"{_CELL} {_SEQUENCE} {_LSTM}"),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _CONV_LSTM),
    "Bidirectional": "layer backward_layer merge_mode weights num_constants",
    "TimeDistributed": "layer",
    # preprocessing
    "Rescaling": "scale:numbers offset",
    "Normalization": "axis mean variance invert",
    "Resizing": (
        f"height width interpolation crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value "
        f"antialias {_IMAGE}"
    ),
    "CenterCrop": f"height width {_IMAGE}",
    "RandomCrop": f"height width {_IMAGE}",
    "RandomFlip": f"mode {_IMAGE}",
    "RandomRotation": _WARP,
    "RandomZoom": f"height_factor width_factor {_WARP}",
    "RandomTranslation": f"height_factor width_factor {_WARP}",
    "RandomShear": f"x_factor y_factor {_WARP}",
    "RandomPerspective": f"scale:numbers {_WARP}",
    "RandomElasticTransform": f"scale:numbers {_WARP}",
    "RandomHeight": f"factor interpolation {_RANDOM}",
    "RandomWidth": f"factor interpolation {_RANDOM}",
    "RandomErasing": f"scale:numbers fill_value {_IMAGE}",
    "RandomGaussianBlur": f"kernel_size sigma {_IMAGE}",
    "RandomColorJitter": (
        f"brightness_factor contrast_factor saturation_factor hue_factor {_IMAGE}"
    ),
    **dict.fromkeys(
        (
            *("RandomBrightness", "RandomContrast", "RandomColorDegeneration", "RandomGrayscale"),
            *("RandomHue", "RandomInvert", "RandomPosterization", "RandomSaturation"),
            *("RandomSharpness", "AutoContrast"),
        ),
        _IMAGE,
    ),
    "Equalization": f"bins {_IMAGE}",
    "Solarization": f"addition_factor threshold_factor {_IMAGE}",
    "ContrastLimitedAdaptiveHistogramEqualization": f"clip_limit tile_grid_size {_IMAGE}",
    "AugMix": f"num_chains chain_depth alpha all_ops interpolation {_IMAGE}",
    "RandAugment": f"num_ops interpolation {_IMAGE}",
    "MixUp": f"alpha {_IMAGE}",
    "CutMix": _IMAGE,
    "MaxNumBoundingBoxes": f"max_number fill_value {_IMAGE}",
    "Pipeline": "layers",
    "MelSpectrogram": (
        "fft_length sequence_stride sequence_length window sampling_rate num_mel_bins min_freq "
        "max_freq power_to_db top_db mag_exp min_power ref_power"
    ),
    "CategoryEncoding": "num_tokens output_mode sparse",
    "Discretization": "bin_boundaries num_bins epsilon output_mode sparse",
    "Hashing": "num_bins mask_value:token salt output_mode sparse",
    "HashedCrossing": "num_bins output_mode sparse",
    "IntegerLookup": _LOOKUP,
    "StringLookup": _LOOKUP,
    "TextVectorization": (f"{_LOOKUP} standardize split ngrams output_sequence_length ragged"),
    # of Keras's own networks, which it keeps beside its layers
    "LayerScale": "init_values projection_dim",
    "StochasticDepth": "drop_path_rate",
    "CustomScaleLayer": "scale:numbers",
}

# What an RNN takes as `cell`, and StackedRNNCells as `cells`.
CELLS: dict[str, str] = {
    "SimpleRNNCell": _CELL,
    **dict.fromkeys(("GRUCell", "GRUCellV1", "GRUCellV2"), f"{_CELL} {_GRU}"),
    **dict.fromkeys(("LSTMCell", "LSTMCellV1", "LSTMCellV2"), f"{_CELL} {_LSTM}"),
    "StackedRNNCells": "cells",
}

# TensorFlow functions and operations that Keras 2 keeps as layers: `functions` says which.
TENSORFLOW_LAYERS: dict[str, str] = {
    "TFOpLambda": "function:tensorflow_function",
    "SlicingOpLambda": "function:slicing_function",
    "TensorFlowOpLayer": "node_def constants",
}

# What these classes do beyond computing; no setting allows them.
REACHING = {
    "TFSMLayer": "loads a SavedModel from another place",
    "TorchModuleWrapper": "unpickles a PyTorch module",
    "JaxLayer": "runs a JAX function",
    "FlaxLayer": "runs a Flax module",
    "ClassMethod": "calls a method by its name",
    "InstanceMethod": "calls a method by its name",
    "InstanceProperty": "reads an attribute by its name",
    "DenseFeatures": "is made of feature columns",
    "SequenceFeatures": "is made of feature columns",
}
