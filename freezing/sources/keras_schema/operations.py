"""The operations of Keras 3 that a file may hold beside layers, with the fields of each.

`x / 127.5` is one, and so is `keras.ops.mean(x)`. Those that take functions are not here. The key
is the module of `keras.src.ops` that an operation is of, and below that the fields that it keeps.
"""

_BY_FIELDS: dict[str, dict[str, str]] = {
    "core": {
        "": "SliceUpdate StopGradient",
        "dtype": "Cast SaturateCast",
        "shape": "Scatter Slice",
        "dtype sparse ragged": "ConvertToTensor",
        "num axis": "Unstack",
        "reduction": "ScatterUpdate",
    },
    "image": {
        "data_format": "HSVToRGB RGBToGrayscale RGBToHSV SobelEdges",
        "alpha sigma interpolation fill_mode fill_value seed data_format": "ElasticTransform",
        "interpolation fill_mode fill_value data_format": "AffineTransform",
        "interpolation fill_value data_format": "PerspectiveTransform",
        "kernel_size sigma data_format": "GaussianBlur",
        "max_val filter_size filter_sigma k1 k2 data_format": "SSIM",
        "order fill_mode fill_value": "MapCoordinates",
        (
            "size interpolation antialias crop_to_aspect_ratio pad_to_aspect_ratio fill_mode "
            "fill_value data_format"
        ): "Resize",
        "size strides dilation_rate padding data_format": "ExtractPatches",
        "spatial_dims method antialias": "ScaleAndTranslate",
        (
            "top_cropping left_cropping bottom_cropping right_cropping target_height target_width "
            "data_format"
        ): "CropImages",
        (
            "top_padding left_padding bottom_padding right_padding target_height target_width "
            "data_format"
        ): "PadImages",
    },
    "linalg": {
        "": "Det Eig Eigh Inv LuFactor Solve",
        "rcond": "Lstsq Pinv",
        "upper": "Cholesky CholeskyInverse",
        "full_matrices compute_uv": "SVD",
        "lower": "SolveTriangular",
        "mode": "Qr",
        "ord axis keepdims": "Norm",
        "tol": "MatrixRank",
    },
    "math": {
        "": "CDist Erf Erfc Erfinv FFT FFT2 IFFT2 Logdet Rsqrt ViewAsComplex ViewAsReal",
        "num_segments sorted": "SegmentMax SegmentMin SegmentProd SegmentSum",
        "fft_length": "IRFFT RFFT",
        "axis keepdims": "Logsumexp",
        "k": "InTopK",
        "k sorted": "TopK",
        "sequence_length sequence_stride": "ExtractSequences",
        "sequence_length sequence_stride fft_length length window center": "ISTFT",
        "sequence_length sequence_stride fft_length window center": "STFT",
    },
    "nn": {
        "": (
            "HardSigmoid HardSilu HardTanh LogSigmoid Polar Relu Relu6 Selu Sigmoid Silu Softplus "
            "Softsign SparsePlus SparseSigmoid TanhShrink"
        ),
        "axis": "Glu LogSoftmax Softmax Sparsemax",
        "strides padding data_format dilation_rate": "Conv DepthwiseConv SeparableConv",
        "alpha": "Celu Elu",
        "axis epsilon": "BatchNorm RMSNorm",
        "block_size data_format": "DepthToSpace SpaceToDepth",
        "from_logits axis": "CategoricalCrossentropy SparseCategoricalCrossentropy",
        "num_classes axis dtype sparse": "MultiHot OneHot",
        "output_size data_format": "AdaptiveAveragePool AdaptiveMaxPool",
        "pool_size strides padding data_format": "AveragePool MaxPool",
        "threshold": "HardShrink SoftShrink",
        "approximate": "Gelu",
        "axes keepdims synchronized": "Moments",
        "axis epsilon rms_scaling": "LayerNorm",
        "axis order epsilon": "Normalize",
        "b": "Squareplus",
        "from_logits": "BinaryCrossentropy",
        "is_causal flash_attention attn_logits_soft_cap": "DotProductAttention",
        "kernel_size dilation padding stride": "Unfold",
        "max_val": "PSNR",
        "negative_slope": "LeakyRelu",
        "output_size kernel_size dilation padding stride": "Fold",
        "strides padding output_padding data_format dilation_rate": "ConvTranspose",
        "threshold default_value": "Threshold",
    },
    "numpy": {
        "": (
            "Abs Absolute Add Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh "
            "BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift "
            "BitwiseXor Cbrt Ceil Conj Conjugate Copy Corrcoef Cos Cosh Deg2rad Digitize Divide "
            "DivideNoNan Dot Dstack Equal Exp Exp2 Expm1 Fabs Fliplr Flipud Floor FloorDivide Fmax "
            "Fmin Fmod Gcd GetItem Greater GreaterEqual Heaviside Hstack Hypot I0 Imag Inner "
            "Isfinite Isinf Isnan Isneginf Isposinf Isreal Kron Lcm Ldexp LeftShift Less LessEqual "
            "Log Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr LogicalXor "
            "Matmul Maximum Minimum Mod Multiply Ndim Negative Nextafter Nonzero NotEqual Outer "
            "Power Rad2deg Ravel Real Reciprocal RightShift Select Sign Signbit Sin Sinc Sinh Size "
            "Slogdet Sqrt Square Subtract Tan Tanh TrueDivide Trunc Vdot Vstack Where"
        ),
        "axis keepdims": (
            "All Amax Amin Any Argmax Argmin Mean Median Nanargmax Nanargmin Nanmax Nanmean "
            "Nanmedian Nanmin Nanprod Nanstd Nansum Nanvar Ptp Std Sum Var"
        ),
        "axis": (
            "Append Argsort Average Concatenate CountNonzero ExpandDims Flip Sort Squeeze Stack "
            "Take TakeAlongAxis"
        ),
        "dtype": "Arange Array EmptyLike FullLike OnesLike View ZerosLike",
        "axis dtype": "Cumprod Cumsum Nancumprod Nancumsum",
        "axis method keepdims": "Nanpercentile Nanquantile Percentile Quantile",
        "k": "Diag Diagflat Tril Triu",
        "indices_or_sections": "Dsplit Hsplit Vsplit",
        "axes": "Tensordot Transpose",
        "axis keepdims initial": "Max Min",
        "indices_or_sections axis": "ArraySplit Split",
        "offset axis1 axis2": "Diagonal Trace",
        "shape": "BroadcastTo UnravelIndex",
        "N increasing": "Vander",
        "assume_unique invert": "IsIn",
        "axis keepdims dtype": "Prod",
        "axis1 axis2": "Swapaxes",
        "axisa axisb axisc axis": "Cross",
        "bins range": "Histogram",
        "decimals": "Round",
        "equal_nan": "Isclose",
        "indexing": "Meshgrid",
        "k axes": "Rot90",
        "kth axis": "Argpartition",
        "mode": "Correlate",
        "n axis": "Diff",
        "nan posinf neginf": "NanToNum",
        "newshape": "Reshape",
        "num endpoint base dtype axis": "Logspace",
        "num endpoint dtype axis": "Geomspace",
        "num endpoint retstep dtype axis": "Linspace",
        "pad_width mode": "Pad",
        "repeats": "Tile",
        "repeats axis": "Repeat",
        "rtol atol equal_nan": "AllClose",
        "shape dtype": "Full",
        "shift axis": "Roll",
        "side": "SearchSorted",
        "sorted return_index return_inverse return_counts axis size fill_value": "Unique",
        "source destination": "Moveaxis",
        "subscripts": "Einsum",
        "weights minlength sparse": "Bincount",
        "x dx axis": "Trapezoid",
        "x_min x_max": "Clip",
    },
}

OPERATIONS: dict[str, str] = {
    name: fields
    for groups in _BY_FIELDS.values()
    for fields, names in groups.items()
    for name in names.split()
}
MODULES: dict[str, str] = {
    name: f"keras.src.ops.{module}"
    for module, groups in _BY_FIELDS.items()
    for names in groups.values()
    for name in names.split()
}
