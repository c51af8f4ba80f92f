"""Well-known networks, told by the names that their libraries give their layers.

Which pixels each is trained on is written in its library: the `preprocess_input` of each module of
`keras.applications`, and `preprocessing_factory.py` of TF-Slim (github.com/tensorflow/models,
research/slim). A network that was trained further may be fed otherwise: of 28 public programs that
were looked at for this (transfer learning with MobileNetV2, VGG16 and ResNet50), 22 fed it as its
library does and 6 with 0..1, the `rescale=1/255` of Keras' generators.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from freezing.graph.graph import Graph
from worker.models.preprocessing import PreprocessingSpec

_NUMBERED = re.compile(r"_\d+$")

ZERO_ONE = PreprocessingSpec(preset="zero_one")
RAW = PreprocessingSpec(preset="raw")
SIGNED = PreprocessingSpec(preset="minus_one_one")
CAFFE = PreprocessingSpec(preset="caffe")
IMAGENET = PreprocessingSpec(preset="imagenet")
# What TF-Slim's vgg_preprocessing takes off, in the order red, green, blue.
SLIM_MEANS = PreprocessingSpec(
    preset="raw", mean=[123.68, 116.78, 103.94], color="rgb", resize="crop"
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A network of a library, and how the library prepares its images."""

    name: str
    library: str
    layers: tuple[str, ...]  # names that all must be there
    without: tuple[str, ...] = ()  # names that others have
    prepared: PreprocessingSpec
    # How else it is published.
    second: PreprocessingSpec = ZERO_ONE


KERAS, SLIM = "keras.applications", "TF-Slim"
FAMILIES = (
    Family(name="VGG", library=KERAS, layers=("block1_conv1", "block5_conv3"), prepared=CAFFE),
    Family(
        name="ResNet50", library=KERAS, layers=("res2a_branch2a", "res5c_branch2c"), prepared=CAFFE
    ),
    Family(
        name="ResNetV2",
        library=KERAS,
        layers=("conv2_block1_preact_bn", "post_bn"),
        prepared=SIGNED,
    ),
    Family(
        name="DenseNet",
        library=KERAS,
        layers=("conv2_block1_0_bn", "pool2_conv", "conv5_block1_1_conv"),
        prepared=IMAGENET,
    ),
    Family(
        name="ResNeXt",
        library=KERAS,
        layers=("conv1_conv", "conv2_block1_1_conv", "conv2_block1_2_reduce"),
        prepared=IMAGENET,
    ),
    Family(
        name="ResNet",
        library=KERAS,
        layers=("conv1_conv", "conv1_bn", "conv2_block1_1_conv", "conv5_block1_1_conv"),
        without=("conv2_block1_preact_bn", "conv2_block1_2_reduce"),
        prepared=CAFFE,
    ),
    Family(
        name="MobileNet",
        library=KERAS,
        layers=("conv_dw_1", "conv_pw_1", "conv_dw_5"),
        prepared=SIGNED,
    ),
    Family(
        name="MobileNetV2",
        library=KERAS,
        layers=("bn_Conv1", "expanded_conv_depthwise", "block_1_expand"),
        prepared=SIGNED,
    ),
    Family(
        name="MobileNetV3",
        library=KERAS,
        layers=("expanded_conv_1_expand|expanded_conv_1", "expanded_conv_2_expand|expanded_conv_2"),
        without=("bn_Conv1", "MobilenetV2"),
        prepared=SIGNED,
    ),
    Family(
        name="InceptionResNetV2",
        library=KERAS,
        layers=("conv_7b", "mixed_5b", "block35_1_ac"),
        prepared=SIGNED,
    ),
    Family(
        name="InceptionV3", library=KERAS, layers=("mixed0", "mixed9", "mixed10"), prepared=SIGNED
    ),
    Family(
        name="Xception",
        library=KERAS,
        layers=("block1_conv1", "block2_sepconv1", "block13_sepconv2"),
        prepared=SIGNED,
    ),
    Family(
        name="NASNet",
        library=KERAS,
        layers=("stem_conv1", "stem_bn1", "reduction_concat_stem_1"),
        prepared=SIGNED,
    ),
    Family(
        name="EfficientNetV2 without its rescaling",
        library=KERAS,
        layers=("stem_conv", "block1a_project_conv", "block2a_expand_conv", "top_conv"),
        without=("block1a_dwconv",),
        prepared=SIGNED,
        second=IMAGENET,  # B0 to B3, whose layers are called alike
    ),
    Family(
        name="EfficientNet without its rescaling",
        library="the package efficientnet",
        layers=("stem_conv", "block1a_dwconv", "block2a_expand_conv"),
        prepared=IMAGENET,
    ),
    Family(
        name="Inception",
        library=SLIM,
        layers=("InceptionV1|InceptionV2|InceptionV3|InceptionV4|InceptionResnetV2",),
        prepared=SIGNED,
    ),
    Family(
        name="MobileNet",
        library=SLIM,
        layers=("MobilenetV1|MobilenetV2|MobilenetV3",),
        prepared=SIGNED,
    ),
    Family(
        name="NASNet", library=SLIM, layers=("cell_stem_0", "cell_0", "cell_1"), prepared=SIGNED
    ),
    Family(
        name="VGG",
        library=SLIM,
        layers=("vgg_16|vgg_19|vgg_a", "conv1_1|conv1"),
        prepared=SLIM_MEANS,
    ),
    Family(
        name="ResNet v1",
        library=SLIM,
        layers=("resnet_v1_50|resnet_v1_101|resnet_v1_152|resnet_v1_200", "bottleneck_v1"),
        prepared=SLIM_MEANS,
    ),
    Family(
        name="ResNet v2",
        library=SLIM,
        layers=("resnet_v2_50|resnet_v2_101|resnet_v2_152|resnet_v2_200", "bottleneck_v2"),
        prepared=SLIM_MEANS,
        second=SIGNED,
    ),
)


def family_of(names: frozenset[str]) -> Family | None:
    """Return the network whose layers are among these names."""
    return next((one for one in FAMILIES if _has(names, one)), None)


def layer_names(graph: Graph) -> frozenset[str]:
    """Return the parts of all nodes' names, also without the number that Keras adds to a copy."""
    found: set[str] = set()
    for node in graph:
        found.update(node.name.split("/"))
    return frozenset(found | {_NUMBERED.sub("", part) for part in found})


def _has(names: frozenset[str], family: Family) -> bool:
    return all(_any(names, layer.split("|")) for layer in family.layers) and not _any(
        names, family.without
    )


def _any(names: frozenset[str], wanted: Iterable[str]) -> bool:
    return any(name in names for name in wanted)
