"""The names that a pickle may hold, each with its reason. What is not here is never "safe".

A class or function is here when neither naming it, nor calling it with any arguments, nor giving
any state to what it makes can run other code; where that holds of some arguments only, they are
checked (:mod:`modelhub.formats.scan.arguments`).

Sources: ``torch/_weights_only_unpickler.py`` (what state dicts need), ``torch/storage.py``,
``numpy/_core`` (``__reduce__`` of arrays, scalars and random states), CPython's ``copyreg`` and
``datetime``; checkpoints of CompVis, Lightning and A1111 for what training leaves behind.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelhub.formats.scan.report import Rank

_Group = tuple[Rank, str, tuple[str, ...], str]
"""Rank, reason, modules, names: each name is allowed in each module."""

_BUILTINS = ("builtins", "__builtin__")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_LIGHTNING = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric")

_TENSORS: tuple[_Group, ...] = (
    (Rank.TENSORS, "a dict in order", ("collections",), "OrderedDict"),
    (Rank.TENSORS, "a storage of tensors", ("torch", "torch.cuda"),
     "DoubleStorage FloatStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage "
     "CharStorage ByteStorage BoolStorage ComplexDoubleStorage ComplexFloatStorage QInt8Storage "
     "QInt32Storage QUInt8Storage QUInt4x2Storage QUInt2x4Storage"),
    (Rank.TENSORS, "a storage of tensors", ("torch", "torch.storage"),
     "UntypedStorage _UntypedStorage TypedStorage _TypedStorage"),
    (Rank.TENSORS, "makes a tensor of a storage", ("torch._utils",),
     "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
     "_rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor "
     "_rebuild_sparse_csr_tensor _rebuild_meta_tensor_no_storage _rebuild_nested_tensor "
     "_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor "
     "_rebuild_wrapper_subclass"),
    (Rank.TENSORS, "makes a tensor, its arguments being checked", ("torch._tensor",),
     "_rebuild_from_type_v2"),
    (Rank.TENSORS, "a storage in bytes, which are scanned too", ("torch.storage",),
     "_load_from_bytes"),
    (Rank.TENSORS, "a tensor, or a part of it", ("torch",),
     "Tensor Size device FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor "
     "ShortTensor CharTensor ByteTensor BoolTensor"),
    (Rank.TENSORS, "a tensor, or a part of it", ("torch.nn.parameter",),
     "Parameter Buffer UninitializedParameter"),
    (Rank.TENSORS, "a type of numbers", ("torch",),
     "float64 double float32 float float16 half bfloat16 int64 long int32 int int16 short int8 "
     "uint64 uint32 uint16 uint8 bool complex32 chalf complex64 cfloat complex128 cdouble "
     "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 "
     "qint8 qint32 quint8 quint4x2 quint2x4 bits8 bits16"),
    (Rank.TENSORS, "how a tensor is quantised or laid out", ("torch",),
     "per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric "
     "per_channel_affine_float_qparams strided sparse_coo contiguous_format channels_last "
     "preserve_format"),
    (Rank.TENSORS, "the layout of a tensor, by name", ("torch.serialization",), "_get_layout"),
    (Rank.TENSORS, "an array or a number of numpy's", _MULTIARRAY, "_reconstruct scalar"),
    (Rank.TENSORS, "an array or a type of numpy's", ("numpy",), "ndarray dtype"),
    (Rank.TENSORS, "an array in one piece", ("numpy.core.numeric", "numpy._core.numeric"),
     "_frombuffer"),
    (Rank.TENSORS, "a type of numpy's", ("numpy.dtypes",),
     "Float16DType Float32DType Float64DType Int8DType Int16DType Int32DType Int64DType "
     "UInt8DType UInt16DType UInt32DType UInt64DType BoolDType"),
    (Rank.TENSORS, "bytes as text, in latin-1 alone", ("_codecs",), "encode"),
    (Rank.TENSORS, "a plain container", _BUILTINS, "set frozenset bytearray"),
)  # fmt: skip

_HARMLESS: tuple[_Group, ...] = (
    (Rank.HARMLESS, "a plain value", _BUILTINS,
     "list tuple dict int float bool str bytes complex slice range object"),
    (Rank.HARMLESS, "a plain value", ("__builtin__",), "long unicode xrange"),
    (Rank.HARMLESS, "a container", ("collections",), "Counter deque"),
    (Rank.HARMLESS, "a container, what fills it being checked", ("collections",), "defaultdict"),
    (Rank.HARMLESS, "makes an object of a class that is itself checked",
     ("copyreg", "copy_reg"), "_reconstructor"),
    (Rank.HARMLESS, "a time", ("datetime",), "datetime date time timedelta timezone"),
    (Rank.HARMLESS, "an exact number", ("decimal",), "Decimal"),
    (Rank.HARMLESS, "an exact number", ("fractions",), "Fraction"),
    (Rank.HARMLESS, "a unique number", ("uuid",), "UUID SafeUUID"),
    (Rank.HARMLESS, "the options of a training script", ("argparse",), "Namespace"),
    (Rank.HARMLESS, "a plain record", ("types",), "SimpleNamespace"),
    (Rank.HARMLESS, "a file's name", ("pathlib", "pathlib._local"),
     "PosixPath PurePosixPath WindowsPath PureWindowsPath Path PurePath"),
    (Rank.HARMLESS, "a number of numpy's", ("numpy",),
     "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool_ "
     "complex64 complex128 str_ bytes_ matrix"),
    (Rank.HARMLESS, "the state of random numbers", ("numpy.random._pickle",),
     "__randomstate_ctor __generator_ctor __bit_generator_ctor"),
    (Rank.HARMLESS, "the state of random numbers", ("numpy.random._mt19937",), "MT19937"),
    (Rank.HARMLESS, "the state of random numbers", ("numpy.random._pcg64",), "PCG64 PCG64DXSM"),
    (Rank.HARMLESS, "the state of random numbers", ("numpy.random.mtrand",), "RandomState"),
    (Rank.HARMLESS, "a kind of values", ("typing",), "Any"),
    (Rank.HARMLESS, "the configuration of a training", ("omegaconf.dictconfig",), "DictConfig"),
    (Rank.HARMLESS, "the configuration of a training", ("omegaconf.listconfig",), "ListConfig"),
    (Rank.HARMLESS, "the configuration of a training", ("omegaconf.base",),
     "ContainerMetadata Metadata Box Node SCMode"),
    (Rank.HARMLESS, "the configuration of a training", ("omegaconf.nodes",),
     "AnyNode BooleanNode BytesNode EnumNode FloatNode IntegerNode PathNode StringNode"),
    (Rank.HARMLESS, "the configuration of a training", ("yacs.config",), "CfgNode"),
    (Rank.HARMLESS, "bytes, held in memory", ("_io", "io"), "BytesIO"),
)  # fmt: skip

_TRAINING: tuple[_Group, ...] = (
    (Rank.HARMLESS, "a callback of a training", _LIGHTNING,
     "callbacks.model_checkpoint:ModelCheckpoint callbacks.early_stopping:EarlyStopping "
     "callbacks.lr_monitor:LearningRateMonitor callbacks.timer:Timer "
     "callbacks.progress.tqdm_progress:TQDMProgressBar callbacks.base:Callback "
     "callbacks.callback:Callback callbacks.gpu_stats_monitor:GPUStatsMonitor "
     "callbacks.stochastic_weight_avg:StochasticWeightAveraging "
     "callbacks.weight_averaging:WeightAveraging"),
    (Rank.HARMLESS, "the options of a training", _LIGHTNING, "utilities.parsing:AttributeDict"),
    (Rank.HARMLESS, "the options of a training", _LIGHTNING,
     "utilities.data:AttributeDict loops.utilities:_Stage trainer.states:TrainerFn "
     "trainer.states:TrainerStatus trainer.states:RunningStage"),
    (Rank.HARMLESS, "the state of an optimizer", ("torch.optim",),
     "adam:Adam adamw:AdamW sgd:SGD rmsprop:RMSprop adagrad:Adagrad lr_scheduler:LambdaLR "
     "lr_scheduler:StepLR lr_scheduler:MultiStepLR lr_scheduler:CosineAnnealingLR "
     "lr_scheduler:ExponentialLR lr_scheduler:OneCycleLR lr_scheduler:ReduceLROnPlateau"),
    (Rank.HARMLESS, "a layer of a network that was saved whole", ("torch.nn.modules",),
     "activation:ReLU activation:ReLU6 activation:LeakyReLU activation:PReLU activation:SiLU "
     "activation:GELU activation:Sigmoid activation:Tanh activation:Softmax activation:ELU "
     "activation:Hardswish activation:Hardsigmoid activation:Mish activation:MultiheadAttention "
     "batchnorm:BatchNorm1d batchnorm:BatchNorm2d batchnorm:SyncBatchNorm "
     "container:Sequential container:ModuleList container:ModuleDict container:ParameterList "
     "container:ParameterDict conv:Conv1d conv:Conv2d conv:Conv3d conv:ConvTranspose2d "
     "dropout:Dropout dropout:Dropout2d flatten:Flatten flatten:Unflatten "
     "instancenorm:InstanceNorm2d linear:Linear linear:Identity linear:Bilinear "
     "linear:NonDynamicallyQuantizableLinear loss:BCEWithLogitsLoss loss:CrossEntropyLoss "
     "loss:L1Loss loss:MSELoss module:Module normalization:GroupNorm normalization:LayerNorm "
     "normalization:RMSNorm padding:ReflectionPad2d padding:ZeroPad2d padding:ReplicationPad2d "
     "pixelshuffle:PixelShuffle pixelshuffle:PixelUnshuffle pooling:AdaptiveAvgPool2d "
     "pooling:AvgPool2d pooling:MaxPool2d sparse:Embedding upsampling:Upsample "
     "upsampling:UpsamplingNearest2d"),
    (Rank.HARMLESS, "lists of numbers in a TorchScript archive", ("torch.jit._pickle",),
     "build_intlist build_doublelist build_boollist build_tensorlist restore_type_tag"),
)  # fmt: skip


def _entries() -> Iterator[tuple[tuple[str, str], tuple[Rank, str]]]:
    for rank, why, modules, names in (*_TENSORS, *_HARMLESS, *_TRAINING):
        for module in modules:
            for name in names.split():
                below, _, plain = name.rpartition(":")
                yield (f"{module}.{below}" if below else module, plain), (rank, why)


ALLOWED: dict[tuple[str, str], tuple[Rank, str]] = dict(_entries())
"""By module and name: rank and reason."""
