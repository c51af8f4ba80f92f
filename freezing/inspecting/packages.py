"""Which package would register an op that this TensorFlow does not have.

Told from the op's name alone. Packages that register their ops under a prefix of their own come
first; the rest are names that are known from models in the wild.
"""

import re

_PREFIXES = {
    "Addons>": "tensorflow-addons (`import tensorflow_addons`)",
    "TFText>": "tensorflow-text (`import tensorflow_text`)",
    "IO>": "tensorflow-io (`import tensorflow_io`)",
    "Scann>": "scann, which TensorFlow Recommenders uses (`import scann`)",
    "TFRA>": "tensorflow-recommenders-addons",
    "Horovod": "horovod (`import horovod.tensorflow`)",
    "SimpleML": "tensorflow-decision-forests (`import tensorflow_decision_forests`)",
    "TRT": "TensorRT, with a TensorFlow built for it (TF-TRT): use the model before conversion",
    "_Mkl": "a TensorFlow built with Intel MKL: use the model before its optimisation",
    "TFLite_": "TensorFlow Lite's converter: use the model before conversion",
    "Neuron": "tensorflow-neuron (AWS Inferentia): use the model before compilation",
    "Kafka": "tensorflow-io (`import tensorflow_io`)",
    "BoostedTrees": "TensorFlow up to 2.11 (boosted trees were removed)",
    "TensorForest": "TensorFlow 1.15 (tf.contrib.tensor_forest)",
    "GradientTrees": "TensorFlow 1.15 (tf.contrib.boosted_trees)",
    "Bigtable": "TensorFlow 1.15 (tf.contrib.cloud)",
}
_TEXT = "tensorflow-text (`import tensorflow_text`)"
_SENTENCEPIECE = "tf-sentencepiece, or tensorflow-text for newer models"
_CONTRIB = "TensorFlow 1.15 (tf.contrib)"
_POINTNET = "the `tf_ops` of PointNet++, to be compiled"
_PATTERNS = (
    (r"Create(TRT|TrtResource)|InitializeTRT|GetCalibrationData|SerializeTRT", _PREFIXES["TRT"]),
    (r"Sentencepiece(Encode|Decode|GetPiece|GetPieceSize|GetPieceType)", _SENTENCEPIECE),
    (r"Sentencepiece|Wordpiece|Wordshape|(Fast)?BertNormalize|CaseFold|NormalizeUTF8", _TEXT),
    (r"(Whitespace|UnicodeScript|Regex|SplitMerge|Boise).*(Offsets|Tokenize)|RougeL", _TEXT),
    (r"(Masked)?ConstrainedSequence|SentenceFragments|TokenizerFromLogits", _TEXT),
    (r"(Ps)?(PS)?R[oO]I(Align|Pool)", "a region-pooling op of a detector, to be compiled"),
    (r"(Hypercube|Simplex)Interpolation|PwlIndexing|Monoton(e|ic)", "tensorflow-lattice 1"),
    (r"QueryBallPoint|GroupPoint|FarthestPoint|ThreeNN|ThreeInterpolate|ProbSample", _POINTNET),
    (r"Correlation|FlowWarp|Downsample\Z", "the custom ops of FlowNet2, to be compiled"),
    (r"UpFirDn2D|FusedBiasAct", "the custom ops of StyleGAN2, to be compiled"),
    (r"Decode(Proto|Dicom|Avro|Arrow)|Parquet|Avro|HDF5", _PREFIXES["IO>"]),
    (r"Image(ProjectiveTransform|ConnectedComponents)|AdjustHsvInYiq|BipartiteMatch", _CONTRIB),
    (r"GatherTree|Resampler|PeriodicResample|SparseFeatureCross|MaskedMatmul", _CONTRIB),
    (r"DecodeAudio|EncodeAudio|DecodeVideo|WALSCompute|HardRouting|KFeature", _CONTRIB),
    (r"SkipGramGenerate|TreePredictions|TreeEnsemble|ReduceSlice|Outfeed\Z", _CONTRIB),
    (r"CTC.*Scorer|CTCBeamSearchDecoderWith", "the native client of DeepSpeech"),
    (r"edgetpu", "the Edge TPU compiler: use the model before compilation"),
)
_KNOWN = [(re.compile(pattern, re.IGNORECASE), package) for pattern, package in _PATTERNS]


def registering_package(op: str) -> str | None:
    """Return the package that would register `op`, in words; None where it is not known."""
    for prefix, package in _PREFIXES.items():
        if op.startswith(prefix):
            return package
    return next((package for pattern, package in _KNOWN if pattern.match(op)), None)
