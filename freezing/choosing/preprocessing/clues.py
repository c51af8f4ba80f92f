"""All that a graph tells of how its images are prepared, found without running it."""

import math
from dataclasses import dataclass, field, replace

import tensorflow as tf

from freezing.choosing.preprocessing.channels import FirstLayer, follow
from freezing.choosing.preprocessing.exporters import Exporter, Traits, exporter_of
from freezing.choosing.preprocessing.families import Family, family_of, layer_names
from freezing.choosing.preprocessing.graph_reading import GraphReading, agree, of_layers
from freezing.choosing.preprocessing.measuring import of_moments
from freezing.choosing.preprocessing.moments import NORMS, moments
from freezing.choosing.preprocessing.pixels import pixels_of
from freezing.graph.final_op import final_op
from freezing.graph.graph import Endpoint, Graph
from worker.models.manifest import Tensor
from worker.models.preprocessing import Filter, PreprocessingSpec

# What networks for images begin with.
_FIRST = frozenset({"Conv2D", "_FusedConv2D", "DepthwiseConv2dNative"} | NORMS)


@dataclass(frozen=True, kw_only=True)
class PreprocessingClues:
    """What is read, measured in the weights, and recognised."""

    reading: GraphReading = field(default_factory=GraphReading)
    moments: GraphReading = field(default_factory=GraphReading)
    exporter: Exporter | None = None
    family: Family | None = None
    channels: int | None = None
    classes: int | None = None
    final_op: str = ""  # what computes the scores
    resized_by: Filter | None = None  # the way in which the graph resizes images itself
    is_keras_scaled: bool = False  # by a Rescaling or Normalization layer
    is_fed: bool = True  # whether its first layers take the input as it is, with nothing before

    @property
    def is_as_exported(self) -> bool:
        """Whether nothing that was read says otherwise than the product that it is known as."""
        read = self.reading.scaling
        return read is None or self.exporter is None or read.preset == self.exporter.prepared.preset


def look(graph: Graph, taken: Tensor, output: Tensor) -> PreprocessingClues:
    """Return what a frozen graph tells of how images become its input."""
    end, answer = Endpoint.parse(taken.name), Endpoint.parse(output.name)
    layers = follow(graph, end, pixels_of(taken.shape))
    reading = of_layers(layers)
    if tf.as_dtype(taken.dtype).is_integer:
        why = f"the input takes whole numbers ({taken.dtype}): values from 0 to 255"
        reading = replace(
            reading, scaling=PreprocessingSpec(preset="raw"), reasons=[why, *reading.reasons]
        )
    measured = GraphReading()
    if layers and agree(layers):
        seen = next((one for layer in layers if (one := moments(graph, layer))), None)
        if seen is not None:
            measured = of_moments(layers[0].pixels, seen)
    names = layer_names(graph)
    channels = channels_of(taken.shape)
    traits = Traits(
        graph=graph,
        names=names,
        input=end.node,
        output=answer.node,
        channels=channels,
        rank=None if taken.shape is None else len(taken.shape),
    )
    return PreprocessingClues(
        reading=reading,
        moments=measured,
        exporter=exporter_of(traits),
        family=family_of(names) if channels == 3 else None,
        channels=channels,
        classes=output.shape[-1] if output.shape and len(output.shape) == 2 else None,
        final_op=final_op(graph, answer),
        resized_by=_resized_by(graph, layers),
        is_keras_scaled=any(name.startswith(("rescaling", "normalization")) for name in names),
        is_fed=_is_fed(graph, layers),
    )


def _is_fed(graph: Graph, layers: list[FirstLayer]) -> bool:
    """Whether the first layers are those of a network, and take pixels as the input has them.

    What else is in front of a network that is known by its layers prepares images for it.
    """
    return bool(layers) and all(
        graph.nodes[layer.name].op in _FIRST and layer.pixels.is_untouched for layer in layers
    )


def _resized_by(graph: Graph, layers: list[FirstLayer]) -> Filter | None:
    """Return what resizes images before the first layer, as the field `filter` calls it."""
    first = {one for layer in layers for one in layer.pixels.resizes[:1]}
    if len(first) != 1:
        return None
    node = graph.nodes[first.pop()]
    if node.op == "ResizeNearestNeighbor":
        return "nearest"
    if node.op == "ResizeBilinear" and not node.attr["align_corners"].b:
        return "tf_bilinear" if node.attr["half_pixel_centers"].b else "tf1_bilinear"
    return None


def channels_of(shape: list[int | None] | None) -> int | None:
    """Return how many channels images have for an input of this shape, where it shows."""
    match shape:
        case [_, _, _, _]:
            start = pixels_of(shape)
            return None if start.axis is None or shape[start.axis] is None else len(start.sources)
        case [_, _, _]:
            return 1
        case [_, int(length)]:
            fitting = (one for one in (1, 3) if length == one * math.isqrt(length // one) ** 2)
            return next(fitting, None)
        case _:
            return None
