"""The parts of layers that a file may name: initializers, activations, policies and the like."""

_SEED = "seed input_axes output_axes dtype"
_VARIANCE = f"scale:number mode distribution {_SEED}"

INITIALIZERS: dict[str, str] = {
    **dict.fromkeys(("Zeros", "Ones", "zeros", "ones", "zero", "one"), "dtype"),
    **dict.fromkeys(("Constant", "constant"), "value dtype verify_shape"),
    **dict.fromkeys(("RandomNormal", "random_normal", "normal"), f"mean stddev {_SEED}"),
    **dict.fromkeys(("TruncatedNormal", "truncated_normal"), f"mean stddev {_SEED}"),
    **dict.fromkeys(("RandomUniform", "random_uniform", "uniform"), f"minval maxval {_SEED}"),
    **dict.fromkeys(("VarianceScaling", "variance_scaling"), _VARIANCE),
    **dict.fromkeys(("GlorotNormal", "glorot_normal"), _VARIANCE),
    **dict.fromkeys(("GlorotUniform", "glorot_uniform"), _VARIANCE),
    **dict.fromkeys(("HeNormal", "he_normal", "HeUniform", "he_uniform"), _VARIANCE),
    **dict.fromkeys(("LecunNormal", "lecun_normal"), _VARIANCE),
    **dict.fromkeys(("LecunUniform", "lecun_uniform"), _VARIANCE),
    **dict.fromkeys(("Orthogonal", "OrthogonalInitializer", "orthogonal"), f"gain {_SEED}"),
    **dict.fromkeys(("Identity", "IdentityInitializer", "identity"), "gain dtype"),
}

REGULARIZERS: dict[str, str] = {
    **dict.fromkeys(("L1L2", "l1_l2"), "l1 l2"),
    **dict.fromkeys(("L1", "l1"), "l1"),
    **dict.fromkeys(("L2", "l2"), "l2"),
    **dict.fromkeys(("OrthogonalRegularizer", "orthogonal_regularizer"), "factor mode"),
}

CONSTRAINTS: dict[str, str] = {
    **dict.fromkeys(("MaxNorm", "max_norm", "maxnorm"), "max_value axis m:number"),
    **dict.fromkeys(("MinMaxNorm", "min_max_norm"), "min_value max_value rate axis"),
    **dict.fromkeys(("UnitNorm", "unit_norm", "unitnorm"), "axis"),
    **dict.fromkeys(("NonNeg", "non_neg", "nonneg"), ""),
    **dict.fromkeys(("RadialConstraint", "radial_constraint"), ""),
}

DTYPE_POLICIES: dict[str, str] = {
    **dict.fromkeys(("DTypePolicy", "FloatDTypePolicy", "Policy"), "name:dtype_name"),
    "QuantizedDTypePolicy": "mode source_name:dtype_name",
    "QuantizedFloat8DTypePolicy": "mode source_name:dtype_name amax_history_length:count",
}

SEED_GENERATORS: dict[str, str] = {"SeedGenerator": "seed name"}

QUANTIZATIONS: dict[str, str] = {
    "Int8QuantizationConfig": "weight_quantizer activation_quantizer",
    "Float8QuantizationConfig": "",
}
QUANTIZERS: dict[str, str] = {
    "AbsMaxQuantizer": "axis value_range epsilon output_dtype:dtype_name",
}

ACTIVATIONS = frozenset(
    [
        "celu",
        "elu",
        "exponential",
        "gelu",
        "glu",
        "hard_shrink",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "soft_shrink",
        "softmax",
        "softplus",
        "softsign",
        "sparse_plus",
        "sparse_sigmoid",
        "sparsemax",
        "squareplus",
        "swish",
        "tanh",
        "tanh_shrink",
        "threshold",
    ]
)
# Layers that may stand where an activation does.
ACTIVATION_LAYERS = frozenset({"ReLU", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU", "Softmax"})

DTYPES = frozenset(
    [
        "bfloat16",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
        "string",
        "complex64",
        "complex128",
        "int",
        "mixed_bfloat16",
        "mixed_float16",
        "_infer",
        "infer",
        "infer_with_float32_vars",
    ]
)

# The texts that a field of these names may have, and no others.
CHOICES: dict[str, frozenset[str]] = {
    name: frozenset(texts.split())
    for name, texts in {
        "data_format": "channels_last channels_first default NHWC NCHW NDHWC NCDHW NWC NCW",
        "padding": "valid same causal full VALID SAME",
        "interpolation": ("nearest bilinear bicubic lanczos3 lanczos5 area gaussian mitchellcubic"),
        "method": (
            "nearest bilinear bicubic lanczos3 lanczos5 area gaussian mitchellcubic linear lower "
            "higher midpoint"
        ),
        "fill_mode": "constant reflect wrap nearest mirror",
        "mode": (
            "horizontal vertical horizontal_and_vertical fan_in fan_out fan_avg rows columns int8 "
            "int4 float8 constant reflect symmetric edge CONSTANT REFLECT SYMMETRIC reduced "
            "complete valid same full"
        ),
        "merge_mode": "sum mul concat ave",
        "output_mode": "int one_hot multi_hot count tf_idf tf-idf binary",
        "score_mode": "dot concat",
        "bounding_box_format": (
            "xyxy yxyx xywh center_xyhw center_xywh center_yxhw rel_xyxy rel_yxyx rel_xywh "
            "rel_center_xywh"
        ),
        "window": "hann hamming",
        "side": "left right",
        "distribution": "normal uniform truncated_normal untruncated_normal",
        "encoding": "utf-8",
        "standardize": "lower_and_strip_punctuation lower strip_punctuation",
        "split": "whitespace character",
        "oov_method": "floormod farmhash",
        "vocabulary_dtype": "int32 int64 string",
        "rng_type": "stateless stateful legacy_stateful",
        "use_cudnn": "auto",
        "indexing": "xy ij",
        "direction": "ASCENDING DESCENDING",
        "norm": "ortho",
        "ord": "euclidean fro nuc inf",
        "reduction": "add max min mul",
        "activation_quantizer": "default",
    }.items()
}
# Numbers, too, may stand where these texts do.
ALSO_NUMBERS = frozenset({"padding", "use_cudnn", "ord", "score_mode", "split"})
