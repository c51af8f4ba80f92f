"""The TensorFlow functions that a file of Keras 2 may call, and the arguments that each may get.

Keras 2 keeps `x / 127.5` as a layer that names `math.truediv`. These functions take tensors and
numbers and give tensors; none reads, writes, loads or takes a function. The texts that they may get
are those of `parts.CHOICES`, and names of dtypes.
"""

_BY_ARGUMENTS: dict[str, str] = {
    "x": (
        "abs acos asin atan cos cosh exp floor linalg.trace logical_not math.abs math.acos "
        "math.acosh math.asin math.asinh math.atan math.atanh math.ceil math.conj math.cos "
        "math.cosh math.erf math.erfc math.erfinv math.exp math.expm1 math.floor math.is_finite "
        "math.is_inf math.is_nan math.log math.log1p math.log_sigmoid math.logical_not "
        "math.negative math.reciprocal math.reciprocal_no_nan math.rint math.round math.rsqrt "
        "math.sigmoid math.sign math.sin math.sinh math.sqrt math.square math.tan math.tanh "
        "negative nn.sigmoid nn.tanh round sigmoid sign sin sinh sqrt square tan tanh"
    ),
    "x y": (
        "__operators__.add add divide equal greater greater_equal less less_equal logical_and "
        "logical_or math.add math.divide math.divide_no_nan math.equal math.floordiv math.floormod "
        "math.greater math.greater_equal math.less math.less_equal math.logical_and "
        "math.logical_or math.logical_xor math.maximum math.minimum math.mod math.multiply "
        "math.multiply_no_nan math.not_equal math.pow math.squared_difference math.subtract "
        "math.truediv maximum minimum multiply not_equal pow realdiv subtract truediv"
    ),
    "input_tensor axis keepdims": (
        "compat.v1.math.reduce_euclidean_norm compat.v1.math.reduce_std "
        "compat.v1.math.reduce_variance math.reduce_all math.reduce_any math.reduce_euclidean_norm "
        "math.reduce_logsumexp math.reduce_max math.reduce_mean math.reduce_min math.reduce_prod "
        "math.reduce_std math.reduce_sum math.reduce_variance reduce_all reduce_any reduce_max "
        "reduce_mean reduce_min reduce_prod reduce_sum"
    ),
    "input": (
        "identity linalg.cholesky linalg.det linalg.expm linalg.slogdet linalg.tensor_diag_part "
        "math.angle math.imag math.real rank signal.fft signal.fft2d signal.fft3d signal.ifft "
        "signal.ifft2d signal.ifft3d stop_gradient"
    ),
    "input_tensor axis keepdims reduction_indices keep_dims": (
        "compat.v1.math.reduce_all compat.v1.math.reduce_any compat.v1.math.reduce_logsumexp "
        "compat.v1.math.reduce_max compat.v1.math.reduce_mean compat.v1.math.reduce_min "
        "compat.v1.math.reduce_prod compat.v1.math.reduce_sum compat.v1.reduce_max "
        "compat.v1.reduce_mean compat.v1.reduce_min compat.v1.reduce_sum"
    ),
    "images": (
        "image.grayscale_to_rgb image.hsv_to_rgb image.rgb_to_grayscale image.rgb_to_hsv "
        "image.rgb_to_yiq image.rgb_to_yuv image.total_variation image.yiq_to_rgb image.yuv_to_rgb"
    ),
    "features": (
        "math.softplus math.softsign nn.elu nn.relu nn.relu6 nn.selu nn.softplus nn.softsign"
    ),
    "input ksize strides padding data_format": (
        "nn.avg_pool nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d nn.max_pool nn.max_pool1d "
        "nn.max_pool2d nn.max_pool3d"
    ),
    "input_tensor fft_length": (
        "signal.irfft signal.irfft2d signal.irfft3d signal.rfft signal.rfft2d signal.rfft3d"
    ),
    "image": (
        "image.flip_left_right image.flip_up_down image.per_image_standardization "
        "image.sobel_edges image.transpose"
    ),
    "input block_size data_format": (
        "compat.v1.nn.depth_to_space compat.v1.nn.space_to_depth compat.v1.space_to_depth "
        "nn.depth_to_space nn.space_to_depth"
    ),
    "input axis output_type": "argmax argmin math.argmax math.argmin",
    "input filters output_shape strides padding data_format dilations": (
        "nn.conv1d_transpose nn.conv2d_transpose nn.conv3d_transpose nn.conv_transpose"
    ),
    "input out_type": "compat.v1.shape compat.v1.size shape size",
    "logits axis": "math.log_softmax math.softmax nn.log_softmax nn.softmax",
    "logits axis dim": (
        "compat.v1.math.log_softmax compat.v1.math.softmax compat.v1.nn.log_softmax "
        "compat.v1.nn.softmax"
    ),
    "x axis exclusive reverse": "cumsum math.cumprod math.cumsum math.cumulative_logsumexp",
    "images size align_corners half_pixel_centers": (
        "compat.v1.image.resize_bicubic compat.v1.image.resize_bilinear "
        "compat.v1.image.resize_nearest_neighbor"
    ),
    "input filters strides padding data_format dilations": "nn.conv2d nn.conv3d nn.convolution",
    "values axis": "compat.v1.concat concat stack",
    "x axis epsilon dim": "linalg.l2_normalize math.l2_normalize nn.l2_normalize",
    "a b axes": "linalg.tensordot tensordot",
    "a b transpose_a transpose_b adjoint_a adjoint_b output_type": "linalg.matmul matmul",
    "a perm conjugate": "compat.v1.transpose transpose",
    "condition x y": "compat.v1.where where",
    "features beta": "nn.silu nn.swish",
    "image delta": "image.adjust_brightness image.adjust_hue",
    "image offset_height offset_width target_height target_width": (
        "image.crop_to_bounding_box image.pad_to_bounding_box"
    ),
    "images size method align_corners preserve_aspect_ratio": (
        "compat.v1.image.resize compat.v1.image.resize_images"
    ),
    "input axis": "expand_dims squeeze",
    "input axis dimension output_type": "compat.v1.argmax compat.v1.math.argmax",
    "input depth_radius bias alpha beta": "nn.local_response_normalization nn.lrn",
    "input dtype": "ones_like zeros_like",
    "input k sorted index_type": "math.top_k nn.top_k",
    "inputs": "add_n math.add_n",
    "matrix": "linalg.adjoint linalg.logdet",
    "num_rows num_columns batch_shape dtype": "eye linalg.eye",
    "params indices axis batch_dims": "compat.v1.gather gather",
    "shape dtype": "ones zeros",
    "tensor ord axis keepdims": "linalg.norm norm",
    "tensor paddings mode constant_values": "compat.v1.pad pad",
    "value ksize strides padding data_format input": "compat.v1.nn.avg_pool compat.v1.nn.max_pool",
    "x axes": "signal.fftshift signal.ifftshift",
    "y x": "atan2 math.atan2",
    "a b": "linalg.cross",
    "a b transpose_a adjoint_a": "linalg.matvec",
    "a conjugate": "linalg.matrix_transpose",
    "a rcond": "linalg.pinv",
    "a tol": "linalg.matrix_rank",
    "chol rhs": "linalg.cholesky_solve",
    "diagonal": "linalg.tensor_diag",
    "diagonal k num_rows num_cols padding_value align": "linalg.diag",
    "dims value": "fill",
    "features alpha": "nn.leaky_relu",
    "features approximate": "nn.gelu",
    "features axis": "nn.crelu",
    "image boxes box_indices crop_size method extrapolation_value": "image.crop_and_resize",
    "image central_fraction": "image.central_crop",
    "image dtype saturate": "image.convert_image_dtype",
    "image gamma gain": "image.adjust_gamma",
    "image k": "image.rot90",
    "image saturation_factor": "image.adjust_saturation",
    "image target_height target_width": "image.resize_with_crop_or_pad",
    "image target_height target_width method antialias": "image.resize_with_pad",
    "images contrast_factor": "image.adjust_contrast",
    "images size align_corners": "compat.v1.image.resize_area",
    "images size method preserve_aspect_ratio antialias": "image.resize",
    "images sizes strides rates padding": "image.extract_patches",
    "indexing": "meshgrid",
    "indices depth on_value off_value axis dtype": "one_hot",
    "input adjoint": "linalg.inv",
    "input axis dim": "compat.v1.expand_dims",
    "input axis keepdims dtype": "math.count_nonzero",
    "input axis squeeze_dims": "compat.v1.squeeze",
    "input block_shape paddings": "nn.space_to_batch",
    "input depthwise_filter pointwise_filter strides padding data_format dilations": (
        "nn.separable_conv2d"
    ),
    "input diagonal k align": "linalg.set_diag",
    "input filter padding strides dilation_rate data_format filters dilations": (
        "compat.v1.nn.convolution"
    ),
    "input filter strides padding data_format dilations": "nn.depthwise_conv2d",
    "input filter strides padding rate data_format dilations": "compat.v1.nn.depthwise_conv2d",
    "input filter strides padding use_cudnn_on_gpu data_format dilations filters": (
        "compat.v1.nn.conv2d"
    ),
    "input filters stride padding data_format dilations": "nn.conv1d",
    "input full_matrices": "linalg.qr",
    "input k padding_value align": "linalg.diag_part",
    "input ksize strides padding data_format output_dtype include_batch_in_index": (
        "nn.max_pool_with_argmax"
    ),
    "input multiples": "tile",
    "input num_lower num_upper": "linalg.band_part",
    "input output_idx_type": "linalg.lu",
    "input repeats axis": "repeat",
    "input shape": "broadcast_to",
    "input shift axis": "roll",
    "input window_shape pooling_type padding dilation_rate strides data_format dilations": (
        "compat.v1.nn.pool"
    ),
    "input window_shape pooling_type strides padding data_format dilations": "nn.pool",
    "input_ begin end strides begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask": (
        "strided_slice"
    ),
    "input_ begin size": "slice",
    "matrix rhs adjoint": "linalg.solve",
    "matrix rhs lower adjoint": "linalg.triangular_solve",
    "params indices batch_dims": "gather_nd",
    "real imag": "complex",
    "scalar x": "math.scalar_mul",
    "start limit delta dtype": "range",
    "t": "nn.l2_loss",
    "t clip_norm axes": "clip_by_norm",
    "t clip_value_min clip_value_max": "clip_by_value",
    "tensor axis": "reverse",
    "tensor ord axis": "linalg.normalize",
    "tensor shape": "reshape",
    "tensor slice_spec": "__operators__.getitem",
    "value bias data_format": "nn.bias_add",
    "value filters rate padding": "nn.atrous_conv2d",
    "value num axis": "unstack",
    "value num_or_size_splits axis num": "split",
    "values axis direction": "sort",
    "values axis direction stable": "argsort",
    "x axes shift keep_dims keepdims": "compat.v1.nn.moments",
    "x axes shift keepdims": "nn.moments",
    "x dtype": "cast",
    "x mean variance offset scale variance_epsilon": "nn.batch_normalization",
    "x rate noise_shape seed": "nn.dropout",
    "x shape": "ensure_shape",
}

# What a TFOpLambda may call: the arguments by the function's name, without and with "tf.".
FUNCTIONS: dict[str, frozenset[str]] = {
    name: frozenset(arguments.split())
    for arguments, names in _BY_ARGUMENTS.items()
    for name in names.split()
}

# What a SlicingOpLambda may call.
SLICING: dict[str, frozenset[str]] = {
    "__operators__.getitem": frozenset({"slice_spec"}),
}

# The ops that a TensorFlowOpLayer of TensorFlow 2.0 to 2.3 may hold. What matters of their
# attributes is their kind, which `calls` looks at.
NODE_OPS = frozenset(
    [
        "Abs",
        "Add",
        "AddN",
        "AddV2",
        "All",
        "Any",
        "ArgMax",
        "ArgMin",
        "AvgPool",
        "BatchMatMul",
        "BatchMatMulV2",
        "BiasAdd",
        "BroadcastTo",
        "Cast",
        "Ceil",
        "ClipByValue",
        "Concat",
        "ConcatV2",
        "Const",
        "Conv2D",
        "Cos",
        "Cumprod",
        "Cumsum",
        "DepthToSpace",
        "DepthwiseConv2dNative",
        "Div",
        "DivNoNan",
        "Einsum",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "ExpandDims",
        "Expm1",
        "Fill",
        "Floor",
        "FloorDiv",
        "FloorMod",
        "Gather",
        "GatherNd",
        "GatherV2",
        "Greater",
        "GreaterEqual",
        "Identity",
        "IsFinite",
        "IsInf",
        "IsNan",
        "L2Loss",
        "LRN",
        "LeakyRelu",
        "Less",
        "LessEqual",
        "Log",
        "Log1p",
        "LogSoftmax",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "MatMul",
        "Max",
        "MaxPool",
        "Maximum",
        "Mean",
        "Min",
        "Minimum",
        "MirrorPad",
        "Mod",
        "Mul",
        "MulNoNan",
        "Neg",
        "NotEqual",
        "OneHot",
        "OnesLike",
        "Pack",
        "Pad",
        "PadV2",
        "Pow",
        "Prod",
        "Range",
        "Rank",
        "RealDiv",
        "Reciprocal",
        "Relu",
        "Relu6",
        "Reshape",
        "ResizeArea",
        "ResizeBicubic",
        "ResizeBilinear",
        "ResizeNearestNeighbor",
        "ReverseV2",
        "Roll",
        "Round",
        "Rsqrt",
        "Select",
        "SelectV2",
        "Selu",
        "Shape",
        "Sigmoid",
        "Sign",
        "Sin",
        "Size",
        "Slice",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Split",
        "SplitV",
        "Sqrt",
        "Square",
        "SquaredDifference",
        "Squeeze",
        "StopGradient",
        "StridedSlice",
        "Sub",
        "Sum",
        "Tan",
        "Tanh",
        "Tile",
        "TopKV2",
        "Transpose",
        "Unpack",
        "Where",
        "Xdivy",
        "Xlogy",
        "ZerosLike",
    ]
)
