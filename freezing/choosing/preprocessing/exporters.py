"""Products that export networks, told by what they leave in a graph.

Each with how its own sample code, or nearly everybody's, prepares images:
- Teachable Machine: the snippet in its export panel (googlecreativelab/teachablemachine-community)
  fits the middle of the image into 224 x 224 (`ImageOps.fit`, Lanczos) and takes x / 127.5 - 1.
- Azure Custom Vision: "Run a TensorFlow model in Python" (MicrosoftDocs/azure-docs) takes the
  middle, in blue, green, red, resized by OpenCV, and 0..255. Older exports keep Caffe's `data_bn`.
- retrain.py of TensorFlow 1 (tensorflow/examples/image_retraining): (x - 128) / 128 between the
  decoder and the tensor `Mul` of the Inception of 2015, (x - 127.5) / 127.5 for MobileNets.
- The tutorial "CNN in TensorFlow" of cv-tricks.com: `cv2.imread`, `cv2.resize` (linear), x / 255.
  All 8 programs with its tensors `x` and `y_pred` that were looked at do so, but whoever trains it
  with another reader of images, in red, green, blue, leaves the very same graph.
- tflearn: 8 of 10 programs that were looked at feed pixels as OpenCV reads them, without scaling.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from freezing.graph.graph import PLACEHOLDER_OPS, Graph
from worker.models.basis import BasisKind
from worker.models.preprocessing import PreprocessingSpec

_RETRAINED = frozenset({"final_training_ops", "final_retrain_ops"})
_TFJS_POOLING = re.compile(r"global_average_pooling2d_GlobalAveragePooling2D\d+")
_TFJS_DENSE = re.compile(r"dense_Dense\d+")


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A product, and how images are prepared for what it exports."""

    name: str
    prepared: PreprocessingSpec
    kind: BasisKind  # `assumed` where it is used in more than one way
    color_kind: BasisKind | None = None  # where that differs for the order of colours
    reason: str


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a graph is looked at for."""

    graph: Graph
    names: frozenset[str]  # parts of all nodes' names
    input: str  # name of the node
    output: str
    channels: int | None
    rank: int | None  # of the input


def exporter_of(traits: Traits) -> Exporter | None:
    """Return the product whose export the graph is."""
    return next((found for look in _PRODUCTS if (found := look(traits)) is not None), None)


def _teachable_machine(traits: Traits) -> Exporter | None:
    pooled = any(_TFJS_POOLING.fullmatch(name) for name in traits.names)
    dense = {name for name in traits.names if _TFJS_DENSE.fullmatch(name)}
    if not (pooled and len(dense) >= 2 and "Conv1" in traits.names and traits.channels == 3):
        return None
    return Exporter(
        name="Teachable Machine",
        prepared=PreprocessingSpec(
            preset="minus_one_one", color="rgb", resize="crop", filter="lanczos"
        ),
        kind="recognised",
        reason="it is an export of Teachable Machine (a MobileNet with layers that are called as "
        "TensorFlow.js calls them): the middle of the image, values from -1 to 1",
    )


def _custom_vision(traits: Traits) -> Exporter | None:
    is_input = traits.input == "Placeholder" and traits.output == "loss"
    if not (is_input and "data_bn" in traits.names and traits.channels == 3):
        return None
    return Exporter(
        name="Azure Custom Vision",
        prepared=PreprocessingSpec(preset="raw", color="bgr", resize="crop", filter="cv2_linear"),
        kind="recognised",
        reason="it is an export of Azure Custom Vision (from 'Placeholder' to 'loss', with "
        "'data_bn'): the middle of the image, blue, green, red, values from 0 to 255",
    )


def _retrain(traits: Traits) -> Exporter | None:
    is_head = "final_result" in traits.names and bool(traits.names & _RETRAINED)
    is_2015 = traits.input == "Mul" and "pool_3" in traits.names
    # A module of TensorFlow Hub, which it took later, has an input of another name and range.
    is_mobile = traits.input == "input" and "MobilenetV1" in traits.names
    if not is_head or traits.channels != 3 or is_2015 == is_mobile:
        return None
    scaled = (
        PreprocessingSpec(preset="centered")
        if is_2015
        else PreprocessingSpec(preset="minus_one_one")
    )
    return Exporter(
        name="retrain.py",
        prepared=scaled.model_copy(
            update={"color": "rgb", "resize": "stretch", "filter": "tf1_bilinear"}
        ),
        kind="recognised",
        reason="it was made by TensorFlow's retrain.py (it ends in 'final_result'), which takes "
        f"{'(value - 128) / 128' if is_2015 else 'values from -1 to 1'}; red, green, blue",
    )


def _tutorial(traits: Traits) -> Exporter | None:
    known = {"x", "y_pred", "Variable", "Variable_1", "Conv2D", "Conv2D_1", "MaxPool"}
    nodes = traits.graph.nodes
    fits = known <= nodes.keys() and traits.input == "x" and traits.output == "y_pred"
    if not (fits and nodes["y_pred"].op == "Softmax" and traits.channels == 3):
        return None
    return Exporter(
        name="the tutorial 'CNN in TensorFlow'",
        prepared=PreprocessingSpec(
            preset="zero_one", color="bgr", resize="stretch", filter="cv2_linear"
        ),
        kind="recognised",
        color_kind="assumed",
        reason="it is a network of the tutorial 'CNN in TensorFlow' ('x' to 'y_pred', layers "
        "without names): values from 0 to 1, and mostly OpenCV's blue, green, red",
    )


def _tflearn(traits: Traits) -> Exporter | None:
    node = traits.graph.nodes.get(traits.input)
    is_input = node is not None and node.op in PLACEHOLDER_OPS and traits.input.endswith("/X")
    has_weights = any(name.endswith("/W") for name in traits.graph.nodes)
    if not (is_input and has_weights and traits.rank == 4):
        return None
    return Exporter(
        name="tflearn",
        prepared=PreprocessingSpec(
            preset="raw",
            color="bgr" if traits.channels == 3 else None,
            filter="cv2_linear",
        ),
        kind="assumed",
        reason="it was made with tflearn (its input is called 'X' and its weights 'W'), whose "
        "users mostly feed what OpenCV reads: values from 0 to 255",
    )


_PRODUCTS: tuple[Callable[[Traits], Exporter | None], ...] = (
    _teachable_machine,
    _custom_vision,
    _retrain,
    _tutorial,
    _tflearn,
)
