"""A way to make each layer that a Keras file may name: what it is made with, and what it takes.

The lists of `freezing.sources.keras_schema` are tested with these; a class without one fails.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

# What a layer takes, by kind: the shape of one sample of each input.
INPUTS: dict[str, list[list[int]]] = {
    "image": [[8, 8, 4]],
    "photo": [[8, 8, 3]],
    "row": [[8, 4]],
    "cube": [[6, 6, 6, 2]],
    "flat": [[6]],
    "two": [[6], [6]],
    "words": [[5]],
    "rows": [[8, 4], [8, 4]],
    "film": [[3, 8, 8, 2]],
    "film1": [[3, 8, 2]],
    "film3": [[2, 4, 4, 4, 1]],
    "wave": [[512]],
}
Sample = tuple[str, dict[str, Any]]

_OF_RANK = {"1": "row", "2": "image", "3": "cube"}
_RANKED: dict[str, dict[str, Any]] = {
    "Conv": {"filters": 3, "kernel_size": 2, "activation": "relu"},
    "Convolution": {"filters": 3, "kernel_size": 2, "kernel_regularizer": "l2"},
    "ConvTranspose": {"filters": 3, "kernel_size": 2, "strides": 2},
    "ConvolutionTranspose": {"filters": 3, "kernel_size": 2},
    "DepthwiseConv": {"kernel_size": 2, "depth_multiplier": 2},
    "SeparableConv": {"filters": 3, "kernel_size": 2, "padding": "same"},
    "SeparableConvolution": {"filters": 3, "kernel_size": 2},
    "LocallyConnected": {"filters": 2, "kernel_size": 2},
    "AveragePooling": {"pool_size": 2},
    "AvgPool": {"pool_size": 2},
    "MaxPooling": {"pool_size": 2, "padding": "same"},
    "MaxPool": {"pool_size": 2},
    "GlobalAveragePooling": {},
    "GlobalAvgPool": {},
    "GlobalMaxPooling": {"keepdims": True},
    "GlobalMaxPool": {},
    "AdaptiveAveragePooling": {"output_size": 2},
    "AdaptiveMaxPooling": {"output_size": 2},
    "Cropping": {"cropping": 1},
    "UpSampling": {"size": 2},
    "ZeroPadding": {"padding": 1},
    "SpatialDropout": {"rate": 0.3},
}
_SAMPLES: dict[str, Sample] = {
    "Dense": ("flat", {"units": 3, "activation": "softmax", "kernel_constraint": "max_norm"}),
    "EinsumDense": ("flat", {"equation": "ab,bc->ac", "output_shape": 5, "bias_axes": "c"}),
    "Embedding": ("words", {"input_dim": 9, "output_dim": 3}),
    "ReversibleEmbedding": ("words", {"input_dim": 9, "output_dim": 3}),
    "Activation": ("flat", {"activation": "gelu"}),
    "ActivityRegularization": ("flat", {"l1": 0.1}),
    "Identity": ("flat", {}),
    "Masking": ("row", {"mask_value": 0.0}),
    "Flatten": ("image", {}),
    "Reshape": ("flat", {"target_shape": [2, 3]}),
    "Permute": ("row", {"dims": (2, 1)}),
    "RepeatVector": ("flat", {"n": 2}),
    "ReLU": ("flat", {"max_value": 6.0}),
    "LeakyReLU": ("flat", {}),
    "PReLU": ("flat", {}),
    "ELU": ("flat", {"alpha": 0.5}),
    "ThresholdedReLU": ("flat", {"theta": 0.5}),
    "Softmax": ("flat", {"axis": -1}),
    **dict.fromkeys(("Add", "Average", "Maximum", "Minimum", "Multiply"), ("two", {})),
    "Subtract": ("two", {}),
    "Concatenate": ("two", {"axis": -1}),
    "Dot": ("two", {"axes": 1, "normalize": True}),
    "BatchNormalization": ("image", {"momentum": 0.9}),
    "BatchNormalizationV1": ("image", {}),
    "BatchNormalizationV2": ("image", {}),
    "SyncBatchNormalization": ("image", {}),
    "LayerNormalization": ("image", {"axis": [-1]}),
    "GroupNormalization": ("image", {"groups": 2}),
    "RMSNormalization": ("image", {}),
    "UnitNormalization": ("image", {}),
    "Dropout": ("flat", {"rate": 0.5, "seed": 3}),
    "AlphaDropout": ("flat", {"rate": 0.5}),
    "GaussianDropout": ("flat", {"rate": 0.5}),
    "GaussianNoise": ("flat", {"stddev": 0.5}),
    "Attention": ("rows", {"use_scale": True}),
    "AdditiveAttention": ("rows", {}),
    "SimpleRNN": ("row", {"units": 3, "return_sequences": True}),
    **dict.fromkeys(("GRU", "GRUV1", "GRUV2"), ("row", {"units": 3})),
    **dict.fromkeys(("LSTM", "LSTMV1", "LSTMV2"), ("row", {"units": 3, "dropout": 0.1})),
    "ConvLSTM1D": ("film1", {"filters": 2, "kernel_size": 2}),
    "ConvLSTM2D": ("film", {"filters": 2, "kernel_size": 2}),
    "ConvLSTM3D": ("film3", {"filters": 2, "kernel_size": 2}),
    "Rescaling": ("image", {"scale": 1 / 255, "offset": [0.1, 0.2, 0.3, 0.4]}),
    "Normalization": ("image", {"mean": [0.1, 0.2, 0.3, 0.4], "variance": [1, 2, 3, 4]}),
    "Resizing": ("image", {"height": 5, "width": 6, "crop_to_aspect_ratio": True}),
    "CenterCrop": ("image", {"height": 5, "width": 6}),
    "RandomCrop": ("image", {"height": 5, "width": 6}),
    "RandomFlip": ("image", {"mode": "horizontal"}),
    "RandomRotation": ("image", {"factor": (-0.2, 0.3), "fill_mode": "nearest"}),
    "RandomZoom": ("image", {"height_factor": 0.2}),
    "RandomTranslation": ("image", {"height_factor": 0.2, "width_factor": 0.2}),
    "RandomShear": ("image", {"x_factor": 0.2}),
    "RandomPerspective": ("image", {}),
    "RandomElasticTransform": ("image", {}),
    "RandomHeight": ("image", {"factor": 0.2}),
    "RandomWidth": ("image", {"factor": 0.2}),
    "RandomErasing": ("image", {}),
    "RandomGaussianBlur": ("image", {}),
    "RandomColorJitter": ("image", {"brightness_factor": 0.2}),
    **{
        f"Random{name}": ("image", {"factor": 0.3})
        for name in (
            *("Brightness", "Contrast", "Grayscale", "Hue", "Invert", "Saturation", "Sharpness"),
        )
    },
    "RandomColorDegeneration": ("photo", {"factor": 0.3}),
    "RandomPosterization": ("image", {"factor": 4}),
    "AutoContrast": ("image", {}),
    "Equalization": ("photo", {}),
    "Solarization": ("image", {}),
    "ContrastLimitedAdaptiveHistogramEqualization": ("image", {"tile_grid_size": (2, 2)}),
    "AugMix": ("image", {}),
    "RandAugment": ("image", {}),
    "MixUp": ("image", {}),
    "CutMix": ("image", {}),
    "MelSpectrogram": ("wave", {"fft_length": 128, "sequence_stride": 64, "num_mel_bins": 8}),
    "CategoryEncoding": ("words", {"num_tokens": 9}),
    "Discretization": ("flat", {"bin_boundaries": [1.0, 2.0]}),
    "HashedCrossing": ("", {"num_bins": 5}),
    "Hashing": ("words", {"num_bins": 5, "salt": 3}),
    "IntegerLookup": ("words", {"vocabulary": [1, 2, 5]}),
    "StringLookup": ("", {"vocabulary": ["cat", "dog"]}),
    "TextVectorization": ("", {"vocabulary": ["cat", "dog"], "output_mode": "multi_hot"}),
    "MaxNumBoundingBoxes": ("", {"max_number": 3}),
}
_INNER: dict[str, tuple[str, Callable[[ModuleType], dict[str, Any]]]] = {
    "SpectralNormalization": ("flat", lambda k: {"layer": k.layers.Dense(3)}),
    "TimeDistributed": ("row", lambda k: {"layer": k.layers.Dense(3)}),
    "Bidirectional": ("row", lambda k: {"layer": k.layers.LSTM(3, return_sequences=True)}),
    "Pipeline": ("image", lambda k: {"layers": [k.layers.Rescaling(0.5), k.layers.Flatten()]}),
    "RNN": (
        "row",
        lambda k: {
            "cell": [
                k.layers.SimpleRNNCell(3),
                k.layers.StackedRNNCells([k.layers.GRUCell(3), k.layers.LSTMCell(2)]),
            ]
        },
    ),
}
# Called with more than one tensor that each has its own argument.
CALLED_TWICE: dict[str, Sample] = {
    "MultiHeadAttention": ("row", {"num_heads": 2, "key_dim": 3}),
    **dict.fromkeys(
        ("GroupQueryAttention", "GroupedQueryAttention"),
        ("row", {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1}),
    ),
}
# Of Keras's own networks: found beside its layers.
BESIDE: dict[str, Sample] = {
    "LayerScale": ("image", {"init_values": 0.5, "projection_dim": 4}),
    "StochasticDepth": ("image", {"drop_path_rate": 0.3}),
    "CustomScaleLayer": ("two", {"scale": 0.3}),
}
# Layers whose whole input is of texts or boxes: their configurations are read, and no answers.
CONFIG_ONLY = frozenset(name for name, (takes, _) in _SAMPLES.items() if not takes)


def sample(k: ModuleType, name: str) -> Sample | None:
    """Return what a layer takes and is made with; None where there is no sample of it."""
    for samples in (_SAMPLES, CALLED_TWICE, BESIDE):
        if name in samples:
            return samples[name]
    if name in _INNER:
        takes, make = _INNER[name]
        return takes, make(k)
    rank = next((one for one in "123" if f"{one}D" in name), "")
    ranked = _RANKED.get(name.replace(f"{rank}D", ""))
    if not rank or ranked is None:
        return None
    if name == "UpSampling2D":
        ranked = {**ranked, "interpolation": "bilinear"}
    return _OF_RANK[rank], dict(ranked)
