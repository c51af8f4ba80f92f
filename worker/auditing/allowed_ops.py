"""The ops that a graph may hold: what image classifiers of all ages are made of, and no more.

Reviewed from TensorFlow's own register (1.x to 2.21). An op is here if all that it can do is to
compute its outputs from its inputs and attributes, in memory of its own. What reads or writes files
(`ReadFile`, `DecodeProtoV2` by its `descriptor_source`), opens sockets, runs Python, calls other
processes or compilers, maps or aliases memory (`ImmutableConst`, `InplaceUpdate`), ends the process
(`Abort`), or serves the runtime's own purposes (most names with an underscore) is not, and neither
is what nobody classifies images with. Leaving one out refuses a model by that op's name; adding one
needs its kernel read. Change `VERSION` with it: manifests say by which list they were audited.
"""

VERSION = "2026-11-24"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Element by element, and what reduces, orders or counts.
MATHS = _names(
    """
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax ArgMin Asin
    Asinh Atan Atan2 Atanh BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0
    BesselK0e BesselK1 BesselK1e BesselY0 BesselY1 Betainc Bincount BitwiseAnd BitwiseOr
    BitwiseXor Bucketize Cast Ceil ClipByValue Complex ComplexAbs Conj Cos Cosh Cross Cumprod
    Cumsum CumulativeLogsumexp Dawsn DenseBincount Digamma Div DivNoNan Equal Erf Erfc Erfinv
    EuclideanNorm Exp Expint Expm1 Floor FloorDiv FloorMod FresnelCos FresnelSin Greater
    GreaterEqual HistogramFixedWidth Igamma Igammac Imag Inv Invert IsFinite IsInf IsNan LeftShift
    Less LessEqual Lgamma LinSpace Log Log1p LogicalAnd LogicalNot LogicalOr Max Maximum Mean Min
    Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual Polygamma PopulationCount Pow Prod
    RaggedBincount Range Real RealDiv Reciprocal RightShift Rint Round Rsqrt SegmentMax
    SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum
    SegmentSumV2 Sigmoid Sign Sin Sinh Spence Sqrt Square SquaredDifference Sub Sum Tan Tanh
    TruncateDiv TruncateMod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum Xdivy Xlog1py Xlogy Zeta
    """
)

# Products, decompositions and transforms.
MATRICES = _names(
    """
    BandedTriangularSolve BatchCholesky BatchFFT BatchFFT2D BatchFFT3D BatchIFFT BatchIFFT2D
    BatchIFFT3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchMatrixBandPart BatchMatrixDeterminant
    BatchMatrixDiag BatchMatrixDiagPart BatchMatrixInverse BatchMatrixSetDiag BatchMatrixSolve
    BatchMatrixSolveLs BatchMatrixTriangularSolve BatchSelfAdjointEig BatchSelfAdjointEigV2
    BatchSvd Cholesky Diag DiagPart Eig Einsum FFT FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D IFFTND
    IRFFT IRFFT2D IRFFT3D IRFFTND LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant
    MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
    MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3
    MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Qr RFFT RFFT2D RFFT3D RFFTND
    SelfAdjointEig SelfAdjointEigV2 SparseMatMul Svd TridiagonalMatMul TridiagonalSolve
    """
)

# Making, cutting, joining, gathering and turning tensors.
ARRAYS = _names(
    """
    BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastGradientArgs BroadcastTo
    CheckNumerics CheckNumericsV2 Concat ConcatOffset ConcatV2 ConjugateTranspose Const
    DataFormatDimMap DataFormatVecPermute DeepCopy DepthToSpace DynamicPartition DynamicStitch
    Empty EnsureShape ExpandDims ExtractImagePatches ExtractVolumePatches Fill Fingerprint Gather
    GatherNd GatherV2 GuaranteeConst Identity IdentityN InvertPermutation ListDiff LowerBound
    MirrorPad OneHot OnesLike Pack Pad PadV2 ParallelConcat ParallelDynamicStitch Placeholder
    PlaceholderV2 PlaceholderWithDefault PreventGradient RandomIndexShuffle Rank RefIdentity
    Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd ScatterNdNonAliasingAdd Select
    SelectV2 Shape ShapeN Size Slice Snapshot SpaceToBatch SpaceToBatchND SpaceToDepth Split
    SplitV Squeeze StopGradient StridedSlice TensorScatterAdd TensorScatterMax TensorScatterMin
    TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile ToBool Transpose Unique
    UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound Where ZerosLike
    """
)

# The layers of networks, and losses that an output may be.
NETWORKS = _names(
    """
    ApproxTopK AvgPool AvgPool3D BatchNormWithGlobalNormalization BiasAdd BiasAddV1 BlockLSTM
    BlockLSTMV2 CTCBeamSearchDecoder CTCGreedyDecoder CTCLoss CTCLossV2 Conv Conv2D
    Conv2DBackpropFilter Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D
    Conv3DBackpropFilter Conv3DBackpropFilterV2 Conv3DBackpropInput Conv3DBackpropInputV2 CudnnRNN
    CudnnRNNCanonicalToParams CudnnRNNCanonicalToParamsV2 CudnnRNNParamsSize
    CudnnRNNParamsToCanonical CudnnRNNParamsToCanonicalV2 CudnnRNNV2 CudnnRNNV3
    DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput
    Dilation2D Dilation2DBackpropFilter Dilation2DBackpropInput Elu FractionalAvgPool
    FractionalMaxPool FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D
    FusedResizeAndPadConv2D GRUBlockCell InTopK InTopKV2 IsotonicRegression KthOrderStatistic
    L2Loss LRN LSTMBlockCell LeakyRelu LogSoftmax MakeUnique MaxPool MaxPool3D MaxPoolV2
    MaxPoolWithArgmax NthElement Relu Relu6 Selu Softmax SoftmaxCrossEntropyWithLogits Softplus
    Softsign SparseSoftmaxCrossEntropyWithLogits TopK TopKUnique TopKV2 TopKWithUnique
    """
)

# Of layers: saliency maps and the like are made of them.
GRADIENTS = _names(
    """
    AvgPool3DGrad AvgPoolGrad BatchCholeskyGrad BatchNormWithGlobalNormalizationGrad BiasAddGrad
    BlockLSTMGrad BlockLSTMGradV2 CholeskyGrad CropAndResizeGradBoxes CropAndResizeGradImage
    EluGrad FakeQuantWithMinMaxArgsGradient FakeQuantWithMinMaxVarsGradient
    FakeQuantWithMinMaxVarsPerChannelGradient FractionalAvgPoolGrad FractionalMaxPoolGrad
    FusedBatchNormGrad FusedBatchNormGradV2 FusedBatchNormGradV3 GRUBlockCellGrad IgammaGradA
    InvGrad LRNGrad LSTMBlockCellGrad LeakyReluGrad MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad
    MaxPoolGradGrad MaxPoolGradGradV2 MaxPoolGradGradWithArgmax MaxPoolGradV2
    MaxPoolGradWithArgmax MirrorPadGrad QuantizeAndDequantizeV4Grad RandomGammaGrad ReciprocalGrad
    Relu6Grad ReluGrad ResizeBicubicGrad ResizeBilinearGrad ResizeNearestNeighborGrad RsqrtGrad
    ScaleAndTranslateGrad SeluGrad SigmoidGrad SoftplusGrad SoftsignGrad SqrtGrad StridedSliceGrad
    TanhGrad TileGrad
    """
)

# Decoding, colours, resizing, boxes; sound as pictures (spectrograms).
IMAGES = _names(
    """
    AdjustContrast AdjustContrastv2 AdjustHue AdjustSaturation AudioMicrofrontend AudioSpectrogram
    CombinedNonMaxSuppression CropAndResize DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeGif
    DecodeImage DecodeJpeg DecodePaddedRaw DecodePng DecodeRaw DecodeWav DecodeWebP
    DrawBoundingBoxes DrawBoundingBoxesV2 EncodeBase64 EncodeJpeg EncodeJpegVariableQuality
    EncodePng EncodeWav ExtractGlimpse ExtractGlimpseV2 ExtractJpegShape
    GenerateBoundingBoxProposals HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3
    Mfcc NearestNeighbors NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3
    NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps RGBToHSV RandomCrop
    ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor SampleDistortedBoundingBox
    SampleDistortedBoundingBoxV2 ScaleAndTranslate StatelessSampleDistortedBoundingBox
    """
)

# Arithmetic on small integers, and what imitates it.
QUANTISED = _names(
    """
    Dequantize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
    QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
    QuantizeDownAndShrinkRange QuantizeV2 QuantizedAdd QuantizedAvgPool
    QuantizedBatchNormWithGlobalNormalization QuantizedBiasAdd QuantizedConcat QuantizedConcatV2
    QuantizedConv2D QuantizedConv2DAndRelu QuantizedConv2DAndReluAndRequantize
    QuantizedConv2DAndRequantize QuantizedConv2DPerChannel QuantizedConv2DWithBias
    QuantizedConv2DWithBiasAndRelu QuantizedConv2DWithBiasAndReluAndRequantize
    QuantizedConv2DWithBiasAndRequantize QuantizedConv2DWithBiasSignedSumAndReluAndRequantize
    QuantizedConv2DWithBiasSumAndRelu QuantizedConv2DWithBiasSumAndReluAndRequantize
    QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias
    QuantizedDepthwiseConv2DWithBiasAndRelu QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize
    QuantizedInstanceNorm QuantizedMatMul QuantizedMatMulWithBias
    QuantizedMatMulWithBiasAndDequantize QuantizedMatMulWithBiasAndRelu
    QuantizedMatMulWithBiasAndReluAndRequantize QuantizedMatMulWithBiasAndRequantize
    QuantizedMaxPool QuantizedMul QuantizedRelu QuantizedRelu6 QuantizedReluX QuantizedReshape
    QuantizedResizeBilinear RequantizationRange RequantizationRangePerChannel Requantize
    RequantizePerChannel StochasticCastToInt UniformDequantize UniformQuantize UniformQuantizedAdd
    UniformQuantizedClipByValue UniformQuantizedConvolution UniformQuantizedConvolutionHybrid
    UniformQuantizedDot UniformQuantizedDotHybrid UniformRequantize
    """
)

# Branches, loops, calls, and the lists that loops fill. Called functions are looked into.
CONTROL_FLOW = _names(
    """
    Assert Case ControlTrigger DeviceIndex EmptyTensorList EmptyTensorMap Enter Exit FakeParam For
    If LoopCond Merge NextIteration NoOp OptionalFromValue OptionalGetValue OptionalHasValue
    OptionalNone PartitionedCall Print PrintV2 RefEnter RefExit RefMerge RefNextIteration
    RefSelect RefSwitch Stack StackClose StackCloseV2 StackPop StackPopV2 StackPush StackPushV2
    StackV2 StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile Switch TensorArray
    TensorArrayClose TensorArrayCloseV2 TensorArrayCloseV3 TensorArrayConcat TensorArrayConcatV2
    TensorArrayConcatV3 TensorArrayGather TensorArrayGatherV2 TensorArrayGatherV3 TensorArrayGrad
    TensorArrayGradV2 TensorArrayGradV3 TensorArrayGradWithShape TensorArrayPack TensorArrayRead
    TensorArrayReadV2 TensorArrayReadV3 TensorArrayScatter TensorArrayScatterV2
    TensorArrayScatterV3 TensorArraySize TensorArraySizeV2 TensorArraySizeV3 TensorArraySplit
    TensorArraySplitV2 TensorArraySplitV3 TensorArrayUnpack TensorArrayV2 TensorArrayV3
    TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3 TensorListConcat TensorListConcatLists
    TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
    TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack
    TensorListPushBackBatch TensorListReserve TensorListResize TensorListScatter
    TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem TensorListSplit
    TensorListStack TensorMapErase TensorMapHasKey TensorMapInsert TensorMapLookup TensorMapSize
    TensorMapStackKeys While _SwitchN
    """
)

# Random numbers without a state that outlives a run: dropout and augmentation.
RANDOM = _names(
    """
    AllCandidateSampler ComputeAccidentalHits FixedUnigramCandidateSampler
    LearnedUnigramCandidateSampler LogUniformCandidateSampler Multinomial
    ParameterizedTruncatedNormal RandomGamma RandomPoisson RandomPoissonV2 RandomShuffle
    RandomStandardNormal RandomUniform RandomUniformInt SobolSample StatelessMultinomial
    StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGammaV2
    StatelessRandomGammaV3 StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2
    StatelessRandomPoisson StatelessRandomUniform StatelessRandomUniformFullInt
    StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2
    StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2
    ThreadUnsafeUnigramCandidateSampler TruncatedNormal UniformCandidateSampler
    """
)

# Tensors of which most is zero, and rows of different lengths.
SPARSE = _names(
    """
    DenseCountSparseOutput DenseToDenseSetOperation DenseToSparseSetOperation
    DeserializeManySparse DeserializeSparse RaggedCountSparseOutput RaggedCross
    RaggedFillEmptyRows RaggedFillEmptyRowsGrad RaggedGather RaggedRange RaggedTensorFromVariant
    RaggedTensorToSparse RaggedTensorToTensor RaggedTensorToVariant RaggedTensorToVariantGradient
    SerializeManySparse SerializeSparse SetSize SparseAdd SparseBincount SparseConcat
    SparseCountSparseOutput SparseCross SparseCrossHashed SparseCrossV2 SparseDenseCwiseAdd
    SparseDenseCwiseDiv SparseDenseCwiseMul SparseFillEmptyRows SparseFillEmptyRowsGrad
    SparseReduceMax SparseReduceMaxSparse SparseReduceSum SparseReduceSumSparse SparseReorder
    SparseReshape SparseSegmentMean SparseSegmentMeanGrad SparseSegmentMeanWithNumSegments
    SparseSegmentSqrtN SparseSegmentSqrtNGrad SparseSegmentSqrtNWithNumSegments SparseSegmentSum
    SparseSegmentSumGrad SparseSegmentSumWithNumSegments SparseSlice SparseSliceGrad SparseSoftmax
    SparseSparseMaximum SparseSparseMinimum SparseSplit SparseTensorDenseAdd
    SparseTensorDenseMatMul SparseToDense SparseToSparseSetOperation
    """
)

# Class names and encoded images: strings that stay in the graph, and records of them.
TEXT = _names(
    """
    AsString DecodeCSV DecodeJSONExample EditDistance ParseExample ParseExampleV2
    ParseSequenceExample ParseSequenceExampleV2 ParseSingleExample ParseSingleSequenceExample
    ParseTensor ReduceJoin RegexFullMatch RegexReplace SerializeTensor StaticRegexFullMatch
    StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams StringSplit
    StringSplitV2 StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong
    StringToNumber StringUpper Substr UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode
    UnicodeScript UnicodeTranscode UnsortedSegmentJoin
    """
)

SERVED = (
    MATHS
    | MATRICES
    | ARRAYS
    | NETWORKS
    | GRADIENTS
    | IMAGES
    | QUANTISED
    | CONTROL_FLOW
    | RANDOM
    | SPARSE
    | TEXT
)

# A source may hold these, in branches of training and as what is frozen; a served graph may not.

# Variables, and what reads and changes them.
VARIABLES = _names(
    """
    ApplyAdaMax ApplyAdadelta ApplyAdagrad ApplyAdagradDA ApplyAdagradV2 ApplyAdam ApplyAddSign
    ApplyCenteredRMSProp ApplyFtrl ApplyFtrlV2 ApplyGradientDescent ApplyMomentum ApplyPowerSign
    ApplyProximalAdagrad ApplyProximalGradientDescent ApplyRMSProp Assign AssignAdd
    AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp AutoReloadVariable
    CountUpTo DestroyResourceOp DestroyTemporaryVariable DisableCopyOnRead IsVariableInitialized
    ReadVariableOp ResourceApplyAdaMax ResourceApplyAdadelta ResourceApplyAdagrad
    ResourceApplyAdagradDA ResourceApplyAdagradV2 ResourceApplyAdam ResourceApplyAdamWithAmsgrad
    ResourceApplyAddSign ResourceApplyCenteredRMSProp ResourceApplyFtrl ResourceApplyFtrlV2
    ResourceApplyGradientDescent ResourceApplyKerasMomentum ResourceApplyMomentum
    ResourceApplyPowerSign ResourceApplyProximalAdagrad ResourceApplyProximalGradientDescent
    ResourceApplyRMSProp ResourceCountUpTo ResourceGather ResourceGatherNd ResourceScatterAdd
    ResourceScatterDiv ResourceScatterMax ResourceScatterMin ResourceScatterMul
    ResourceScatterNdAdd ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub
    ResourceScatterNdUpdate ResourceScatterSub ResourceScatterUpdate ResourceSparseApplyAdadelta
    ResourceSparseApplyAdagrad ResourceSparseApplyAdagradDA ResourceSparseApplyAdagradV2
    ResourceSparseApplyCenteredRMSProp ResourceSparseApplyFtrl ResourceSparseApplyFtrlV2
    ResourceSparseApplyKerasMomentum ResourceSparseApplyMomentum
    ResourceSparseApplyProximalAdagrad ResourceSparseApplyProximalGradientDescent
    ResourceSparseApplyRMSProp ResourceStridedSliceAssign RngReadAndSkip RngSkip ScatterAdd
    ScatterDiv ScatterMax ScatterMin ScatterMul ScatterNdAdd ScatterNdMax ScatterNdMin
    ScatterNdSub ScatterNdUpdate ScatterSub ScatterUpdate SparseApplyAdadelta SparseApplyAdagrad
    SparseApplyAdagradDA SparseApplyAdagradV2 SparseApplyCenteredRMSProp SparseApplyFtrl
    SparseApplyFtrlV2 SparseApplyMomentum SparseApplyProximalAdagrad
    SparseApplyProximalGradientDescent SparseApplyRMSProp StatefulRandomBinomial
    StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform
    StatefulUniformFullInt StatefulUniformInt StridedSliceAssign TemporaryVariable VarHandleOp
    VarIsInitializedOp Variable VariableShape VariableV2 _ReadVariablesOp _VarHandlesOp
    """
)

# Of these, what this TensorFlow no longer has, but old graphs do.
LEGACY = frozenset({"AutoReloadVariable"})
