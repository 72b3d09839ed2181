"""The C++ side of the package exciton. Made by scripts/make_python_stubs.py."""
from os import PathLike
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union, overload

import numpy

ArrayLike = Union["Tensor", "Var", "Parameter", numpy.ndarray[Any, Any], float, List[Any], Tuple[Any, ...], None]
Path = Union[str, "PathLike[str]"]


class Error(RuntimeError): ...


class RunError(Error): ...


class DataNotFound(Error): ...


class NotFinite(Error): ...


class Generator:
    """Random numbers, counter-based: a number is a function of seed, stream and counter, whatever the number of threads."""
    def __init__(self, seed: int = 0, stream: int = 0) -> None: ...
    def manual_seed(self, seed: int) -> None:
        """Begins again, from this seed."""
    def random(self) -> float:
        """Uniform in [0, 1)."""
    def normal(self) -> float:
        """Standard normal."""
    def randint(self, n: int) -> int:
        """A whole number in [0, n)."""
    @property
    def state(self) -> List[int]: ...
    @state.setter
    def state(self, value: List[int]) -> None: ...


class Tensor:
    """Numbers of one type in a row-major array. Images are [N, H, W, C]. Shares its memory with NumPy, memoryview and
    DLPack; made by exciton.tensor, from_numpy, from_dlpack, zeros, ones, full, randn."""
    @property
    def shape(self) -> Tuple[Any, ...]: ...
    @property
    def dtype(self) -> str:
        """"f32", "bf16", "f64", "i64" or "u8"."""
    @property
    def ndim(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def numel(self) -> int:
        """Number of elements."""
    def data_ptr(self) -> int:
        """Address of the first element."""
    def numpy(self) -> numpy.ndarray[Any, Any]:
        """An array over the same memory, which it keeps alive. Errors: bf16; convert first."""
    def __array__(self, dtype: object = None, copy: object = None) -> object:
        """For numpy.asarray: over the same memory; of bf16 a copy in float32."""
    @property
    def __array_interface__(self) -> Dict[Any, Any]: ...
    def __dlpack__(self, stream: object = None, max_version: object = None, dl_device: object = None, copy: object = None) -> object:
        """A DLPack capsule over the same memory, which it keeps alive."""
    def __dlpack_device__(self) -> Tuple[int, int]: ...
    def item(self) -> float:
        """The only element. Errors: there are more."""
    def __float__(self) -> float: ...
    def tolist(self) -> object:
        """Nested lists of numbers."""
    def clone(self) -> Tensor:
        """A copy of the values."""
    def reshape(self, shape: List[int]) -> Tensor:
        """The same memory under another shape."""
    def to(self, dtype: object) -> Tensor:
        """Converted; the tensor itself where it has that type already."""
    def fill_(self, value: float) -> object: ...
    def copy_(self, source: object) -> object:
        """Takes the values of a tensor or array of the same shape."""
    def __len__(self) -> int: ...
    def __getitem__(self, index: object) -> object:
        """What numpy() has there."""
    def __setitem__(self, index: object, value: object) -> None: ...
    def __repr__(self) -> str: ...


class ReadOnlyTensor(Tensor):
    """A tensor to look at: weights, and what a tape keeps for backward. numpy() is read-only; Parameter.copy_ changes
    weights, clone() is a copy of one's own."""
    def numpy(self) -> numpy.ndarray[Any, Any]:
        """A read-only array over the same memory, which it keeps alive."""
    def __dlpack__(self, *args: Any, **kwargs: Any) -> object: ...
    def reshape(self, shape: List[int]) -> ReadOnlyTensor:
        """The same memory under another shape."""
    def to(self, dtype: object) -> object:
        """Converted; the tensor itself where it has that type already."""
    def fill_(self, value: float) -> None:
        """Errors: always."""
    def copy_(self, source: object) -> None:
        """Errors: always."""


def tensor(data: object, dtype: object = None) -> Tensor:
    """A tensor with a copy of an array, tensor, number or nested lists. Whole numbers become i64, others f32 unless they
    come as an array of float64."""


def from_numpy(array: numpy.ndarray[Any, Any]) -> Tensor:
    """A tensor over the array's memory: no copy, and what is written on one side is seen on the other. Errors: not
    float32, float64, int64 or uint8; not row-major; read-only."""


def from_dlpack(source: object) -> Tensor:
    """A tensor over the memory of an object with __dlpack__. Errors: as from_numpy."""


def zeros(shape: List[int], dtype: object = 'f32') -> Tensor: ...


def ones(shape: List[int], dtype: object = 'f32') -> Tensor: ...


def full(shape: List[int], value: float, dtype: object = 'f32') -> Tensor: ...


def randn(shape: List[int], generator: Optional[Generator] = None, dtype: object = 'f32') -> Tensor:
    """Independent standard normal numbers."""


def rand(shape: List[int], generator: Optional[Generator] = None, dtype: object = 'f32') -> Tensor:
    """Independent uniform numbers in [0, 1)."""


class Parameter:
    """A trained tensor: its value, and the gradient that Tape.backward adds to. Kept by modules as an attribute."""
    def __init__(self, data: ArrayLike, requires_grad: bool = True, role: str = 'weight') -> None:
        """Takes a copy. `role`: "weight", "norm" or "bias"; optimisers may exempt the last two from weight decay."""
    @property
    def value(self) -> Optional[ReadOnlyTensor]:
        """To look at; copy_ changes it."""
    def numpy(self) -> numpy.ndarray[Any, Any]:
        """A read-only array over the value, which follows its changes."""
    def __array__(self, dtype: object = None, copy: object = None) -> object: ...
    def copy_(self, source: ArrayLike) -> object:
        """Takes values of the same shape. Errors: another shape."""
    @property
    def grad(self) -> Optional[Tensor]:
        """The sum of the gradients since the last step or zero_grad; None when there is none."""
    @grad.setter
    def grad(self, value: ArrayLike) -> None: ...
    @property
    def requires_grad(self) -> bool: ...
    @requires_grad.setter
    def requires_grad(self, value: Any) -> None: ...
    @property
    def shape(self) -> Tuple[Any, ...]: ...
    @property
    def dtype(self) -> str: ...
    def numel(self) -> int: ...
    @property
    def role(self) -> str: ...
    def __repr__(self) -> str: ...


class Var:
    """A value on its way through a network, and its place on the tape. +, -, * work on values of one shape and on numbers."""
    def __init__(self, value: ArrayLike) -> None: ...
    @property
    def value(self) -> Optional[ReadOnlyTensor]: ...
    @property
    def shape(self) -> Tuple[Any, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def requires_grad(self) -> bool:
        """Whether a tape has recorded it."""
    def item(self) -> float: ...
    def __float__(self) -> float: ...
    def numpy(self) -> numpy.ndarray[Any, Any]:
        """A read-only array over the value."""
    def __array__(self, dtype: object = None, copy: object = None) -> object: ...
    def detach(self) -> Var:
        """The value as a constant."""
    def reshape(self, shape: List[int]) -> Var: ...
    def relu(self) -> Var: ...
    def sigmoid(self) -> Var: ...
    def backward(self) -> None:
        """As backward of the tape that records."""
    def __add__(self, other: ArrayLike) -> Var: ...
    def __radd__(self, other: ArrayLike) -> Var: ...
    def __sub__(self, other: ArrayLike) -> Var: ...
    def __rsub__(self, other: ArrayLike) -> Var: ...
    def __mul__(self, other: ArrayLike) -> Var: ...
    def __rmul__(self, other: ArrayLike) -> Var: ...
    def __truediv__(self, other: float) -> Var: ...
    def __neg__(self) -> Var: ...
    def __repr__(self) -> str: ...


class Tape:
    """Records what is computed in its block, for backward:

        with exciton.Tape() as tape:
            loss = exciton.ops.cross_entropy(model(images), labels)
            tape.backward(loss)"""
    def __init__(self) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(self, *args: Any) -> None: ...
    @overload
    def backward(self, loss: Var) -> None:
        """Adds d loss / d p to the gradient of every parameter p that it leads to, and empties the tape. Errors: more than
        one element; not recorded here."""
    @overload
    def backward(self, output: Var, gradient: ArrayLike) -> None:
        """The same from any output with its gradient, of the same shape."""
    def watch(self, value: ArrayLike) -> Var:
        """A constant whose gradient is wanted, too."""
    def gradient(self, watched: Var) -> Optional[Tensor]:
        """Its gradient after backward; None if none arrived."""
    def __len__(self) -> int:
        """Entries on it."""


class no_grad:
    """Within the block nothing is recorded."""
    def __init__(self) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: Any) -> None: ...


def _apply(function: object, context: object, arguments: List[Any], options: Dict[Any, Any]) -> Var:
    """For exciton.autograd.Function."""


def gradcheck(function: object, inputs: List[ArrayLike], eps: float = 1e-05, tolerance: float = 1e-07, elements: int = 64, seed: int = 1) -> float:
    """Compares the gradients of function(*inputs) in double with central differences. Returns the largest error, relative
    to max(1, |gradient|). Errors: one above `tolerance`, with its place and both numbers."""


def conv2d(x: ArrayLike, weight: ArrayLike, bias: ArrayLike = None, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1) -> Var:
    """x [N, H, W, C], weight [O, C/groups, kH, kW], bias [O] or None -> [N, H', W', O]."""


def max_pool2d(x: ArrayLike, kernel_size: int, stride: Optional[int] = None, padding: int = 0, ceil_mode: bool = False) -> Var:
    """x [N, H, W, C] -> [N, H', W', C]."""


def avg_pool2d(x: ArrayLike, kernel_size: int, stride: Optional[int] = None, padding: int = 0, ceil_mode: bool = False, count_include_pad: bool = True) -> Var:
    """x [N, H, W, C] -> [N, H', W', C]."""


def global_avg_pool(x: ArrayLike) -> Var:
    """x [N, H, W, C] -> [N, C], the mean over the pixels."""


def batch_norm(x: ArrayLike, running_mean: ArrayLike, running_var: ArrayLike, weight: ArrayLike, bias: ArrayLike, training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Var:
    """x [N, H, W, C] or [N, C], all others [C]; the running ones may be None in training, and are updated in place."""


def squeeze(x: ArrayLike, kind: str = 'avg') -> Var:
    """x [N, H, W, C] -> [N, C], the mean ("avg") or maximum ("max") over the pixels."""


def excite(z: ArrayLike, w1: ArrayLike, b1: ArrayLike, w2: ArrayLike, b2: ArrayLike, gate: str = 'sigmoid') -> Var:
    """z [N, C], w1 [R, C], b1 [R] or None, w2 [C, R], b2 [C] or None -> gates [N, C]: gate(w2 relu(w1 z + b1) + b2)."""


def scale(x: ArrayLike, gates: ArrayLike) -> Var:
    """x [N, H, W, C], gates [N, C] -> [N, H, W, C], every map times its gate."""


def channel_conv(z: ArrayLike, weight: ArrayLike) -> Var:
    """z [N, C], weight [k], k odd -> [N, C], ECA's filter along the channels."""


def relu(x: ArrayLike) -> Var:
    """max(0, x), element by element."""


def sigmoid(x: ArrayLike) -> Var:
    """1 / (1 + exp(-x))."""


def tanh(x: ArrayLike) -> Var:
    """Hyperbolic tangent."""


def hard_sigmoid(x: ArrayLike) -> Var:
    """min(max(x + 3, 0), 6) / 6."""


def add(a: ArrayLike, b: ArrayLike) -> Var:
    """a + b, of one shape and type."""


def mul(a: ArrayLike, b: ArrayLike) -> Var:
    """a b, of one shape and type."""


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike = None) -> Var:
    """x [N, I], weight [O, I], bias [O] or None -> [N, O] = x weight' + bias."""


def cross_entropy(logits: ArrayLike, labels: ArrayLike, label_smoothing: float = 0.0, weight: ArrayLike = None) -> Var:
    """logits [N, K], labels [N] in [0, K), weight [K] or None -> the mean loss, [1]."""


def softmax(logits: ArrayLike) -> Tensor:
    """logits [N, K] -> probabilities [N, K]; records nothing."""


def dropout(x: ArrayLike, p: float = 0.5, generator: Optional[Generator] = None) -> Var:
    """Zeroes elements with probability p and scales the rest by 1 / (1 - p)."""


def concat(x: List[ArrayLike]) -> Var:
    """[..., C1], [..., C2], ... -> [..., C1 + C2 + ...]."""


def slice_channels(x: ArrayLike, begin: int, count: int) -> Var:
    """x [..., C] -> [..., count] from channel `begin` on."""


def channel_shuffle(x: ArrayLike, groups: int) -> Var:
    """x [..., C] -> [..., C]."""


def reshape(x: ArrayLike, shape: List[int]) -> Var:
    """The same elements under another shape."""


def flatten(x: ArrayLike) -> Var:
    """[N, ...] -> [N, the rest]."""


def cast(x: ArrayLike, dtype: object) -> Var:
    """Converted between floating types."""


def call(name: str, inputs: List[ArrayLike], attributes: Dict[str, float] = {}) -> Var:
    """The operator of that name that a plugin registered. Errors: no such operator, other inputs or attributes than it
    takes."""


def registered() -> List[str]:
    """Names of the operators that plugins registered."""


class HookHandle:
    """Takes a forward hook away: by remove(), or at the end of a `with` block."""
    def remove(self) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(self, *args: Any) -> None: ...


class Module:
    """Something with parameters that maps a value to a value. Derive from it, call super().__init__(), keep parameters and
    modules as attributes, and define forward(self, x)."""
    def __init__(self) -> None: ...
    def __call__(self, x: ArrayLike) -> Var:
        """Runs forward, and the hooks."""
    @property
    def kind(self) -> str:
        """The class: "Conv2d"."""
    def named_parameters(self) -> List[Tuple[str, Parameter]]:
        """[("stage1.0.conv1.weight", Parameter), ...]"""
    def parameters(self) -> List[Parameter]: ...
    def named_buffers(self) -> List[Tuple[str, Tensor]]:
        """What is saved and not trained: [("stem.bn.running_mean", Tensor), ...]"""
    def named_modules(self) -> List[Tuple[str, Module]]:
        """The module itself, "", and all below it."""
    def get_submodule(self, name: str) -> Module:
        """Errors: none of that name."""
    def num_parameters(self) -> int: ...
    def train(self, mode: bool = True) -> Module:
        """Training mode: batch statistics, dropout."""
    def eval(self) -> Module:
        """Evaluation mode: running statistics, folded norms."""
    @property
    def training(self) -> bool: ...
    def set_fused(self, fused: bool) -> None:
        """Fused operators, or their plain twins; both compute the same."""
    def freeze(self, names: List[str]) -> None:
        """Parameters whose name begins with one of these no longer train, norms below it neither."""
    def to(self, dtype: object) -> Module:
        """Converts parameters and buffers: "f32", or "f64" for gradcheck."""
    def zero_grad(self) -> None: ...
    def state_dict(self) -> Dict[Any, Any]:
        """Parameters and buffers by name, over the module's own memory."""
    def load_state_dict(self, state: Dict[str, ArrayLike]) -> None:
        """Takes the values of such a dictionary. Errors: the first that is missing, left over or of another shape or type;
        nothing is changed then."""
    def register_forward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Calls hook(module, x, y) with what comes and goes; what it returns goes on in the place of y, unless it is None.
        A layer within a fused operator then runs by itself. A hook that refers to the module keeps it alive until it is
        removed."""
    def __repr__(self) -> str: ...


class ChannelAttention(Module):
    """A unit that reweights x [N, H, W, C] by gates [N, C]. Derive from it and define gates(self, x)."""
    def __init__(self) -> None: ...
    def gates(self, x: Var) -> Var:
        """x [N, H, W, C] -> [N, C]."""


class SESpec:
    """What a recipe chooses of SE."""
    def __init__(self) -> None: ...
    @property
    def reduction(self) -> int: ...
    @reduction.setter
    def reduction(self, value: Any) -> None: ...
    @property
    def min_width(self) -> int: ...
    @min_width.setter
    def min_width(self, value: Any) -> None: ...
    @property
    def bias(self) -> bool: ...
    @bias.setter
    def bias(self, value: Any) -> None: ...
    @property
    def squeeze(self) -> str: ...
    @squeeze.setter
    def squeeze(self, value: Any) -> None: ...
    @property
    def gate(self) -> str: ...
    @gate.setter
    def gate(self, value: Any) -> None: ...
    @property
    def placement(self) -> str: ...
    @placement.setter
    def placement(self, value: Any) -> None: ...
    @property
    def kind(self) -> str: ...
    @kind.setter
    def kind(self, value: Any) -> None: ...
    def hidden(self, channels: int) -> int:
        """Units of the hidden layer."""


class record_gates:
    """Within the block the gates of every unit of the network are kept, at no cost to its path:

        with exciton.record_gates(model) as recorder:
            model(images)
        recorder.gates["stage1.0.se"]      # [N, C]"""
    def __init__(self, module: Module) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(self, *args: Any) -> None: ...
    @property
    def gates(self) -> Dict[Any, Any]:
        """By unit, of the newest forward pass: f32 [N, C]."""


class replace_gates:
    """Within the block some units have constant gates: {"stage3.0.se": [C]}. All 1 is as if the unit were not there."""
    def __init__(self, module: Module, gates: Dict[str, ArrayLike]) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: Any) -> None: ...


def _make_model(recipe: str, image_channels: int, seed: int) -> Tuple[Module, int]:
    """For exciton.models.make."""


def _model_names() -> List[str]:
    """For exciton.models.names."""


def register_attention(name: str, make: Callable[..., Any]) -> None:
    """Lets recipes and models.make name a unit of one's own, se={"kind": name}: make(channels, spec, generator) returns a
    nn.ChannelAttention. The generator is the model's, and to be used at once. Errors: the name is taken."""


def register_model(name: str, make: Callable[..., Any], image_size: int = 32, classes: int = 10) -> None:
    """Lets recipes and models.make name a model of one's own: make(classes, image_channels, generator) returns a nn.Module
    from images [N, H, W, C] to logits [N, classes]."""


class Conv2d(Module):
    """[N, H, W, in] -> [N, H', W', out]; weight [out, in/groups, kH, kW]."""
    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1, bias: bool = True, generator: Optional[Generator] = None) -> None: ...
    @property
    def weight(self) -> Parameter: ...
    @property
    def bias(self) -> Parameter: ...


class BatchNorm2d(Module):
    """[N, H, W, C] or [N, C], the same shape out."""
    def __init__(self, num_features: int, eps: float = 1e-05, momentum: float = 0.1) -> None: ...
    @property
    def weight(self) -> Parameter: ...
    @property
    def bias(self) -> Parameter: ...
    @property
    def running_mean(self) -> Tensor: ...
    @property
    def running_var(self) -> Tensor: ...


class Linear(Module):
    """[N, in] -> [N, out]; weight [out, in]."""
    def __init__(self, in_features: int, out_features: int, bias: bool = True, generator: Optional[Generator] = None) -> None: ...
    @property
    def weight(self) -> Parameter: ...
    @property
    def bias(self) -> Parameter: ...


class SqueezeExcite(ChannelAttention):
    """[N, H, W, C] scaled by the gates of SE, the same shape out."""
    def __init__(self, channels: int, reduction: int = 16, squeeze: str = 'avg', gate: str = 'sigmoid', bias: bool = True, generator: Optional[Generator] = None) -> None: ...


class MaxPool2d(Module):
    """[N, H, W, C] -> [N, H', W', C]."""
    def __init__(self, kernel_size: int, stride: Optional[int] = None, padding: int = 0, ceil_mode: bool = False) -> None: ...


class AvgPool2d(Module):
    """[N, H, W, C] -> [N, H', W', C]."""
    def __init__(self, kernel_size: int, stride: Optional[int] = None, padding: int = 0, ceil_mode: bool = False) -> None: ...


class GlobalAvgPool(Module):
    """[N, H, W, C] -> [N, C]."""
    def __init__(self) -> None: ...


class ReLU(Module):
    """max(0, x)."""
    def __init__(self) -> None: ...


class Dropout(Module):
    """Zeroes elements with probability p in training."""
    def __init__(self, p: float = 0.5, generator: Optional[Generator] = None) -> None: ...


def uniform_parameter(shape: List[int], bound: float, generator: Optional[Generator] = None) -> Parameter:
    """A parameter of independent uniform numbers in [-bound, bound)."""


def kaiming_normal_parameter(shape: List[int], fan_out: int, generator: Optional[Generator] = None) -> Parameter:
    """A parameter of normal numbers of deviation sqrt(2 / fan_out)."""


class Optimizer:
    def zero_grad(self) -> None:
        """Forgets the gradients."""
    def state(self) -> List[Tuple[str, Tensor]]:
        """What it remembers from step to step, by name, over its own memory."""
    def set_groups(self, groups: List[Dict[Any, Any]]) -> None:
        """Other rates for some parameters: [{"names": "*.se.*", "lr_factor": 0.1}]."""


class SGD(Optimizer):
    """torch.optim.SGD with dampening 0; clears the gradients it applies."""
    def __init__(self, params: object, lr: float = 0.1, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False, decoupled: bool = False, decay_norm_and_bias: bool = True) -> None: ...
    def step(self, lr: Optional[float] = None) -> None:
        """Applies and clears the gradients, at this rate or its own."""


class AdamW(Optimizer):
    """torch.optim.AdamW; clears the gradients it applies."""
    def __init__(self, params: object, lr: float = 0.001, betas: Tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.01, decay_norm_and_bias: bool = True) -> None: ...
    def step(self, lr: Optional[float] = None) -> None:
        """Applies and clears the gradients, at this rate or its own."""


def clip_grad_norm_(parameters: object, max_norm: float) -> float:
    """Scales all gradients together down to this norm. Returns the norm before."""


def clip_grad_value_(parameters: object, clip_value: float) -> None:
    """Brings every element into [-value, value]."""


class Schedule:
    """The learning rate as a function of the step: "constant", "step", "multistep", "cosine", "one_cycle_linear" or a
    registered one."""
    def __init__(self, kind: str, lr: float, total_steps: int, steps_per_epoch: int = 1, gamma: float = 0.1, step_size: float = 30.0, milestones: List[float] = [], final_lr: float = 0.0, warmup_fraction: float = 0.2, warmup_steps: int = 0, warmup_start_lr: float = 0.0) -> None: ...
    def lr(self, step: int) -> float:
        """The rate of a step, counted from 0."""


class EMA:
    """Exponential moving average of a module's weights."""
    def __init__(self, module: object, decay: float = 0.9999, warmup: bool = True) -> None: ...
    def update(self, step: int) -> None:
        """After step `step`, from 1."""
    def swap(self) -> None:
        """Exchanges averages and values: before evaluation, and after it."""


class Dataset:
    """Images by number, with labels."""
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Tuple[numpy.ndarray[Any, Any], int]:
        """(image [H, W, C] uint8, label)"""
    def label(self, index: int) -> int: ...
    def name(self, index: int) -> str:
        """The image's file, or what it is called."""
    @property
    def class_names(self) -> List[str]: ...
    @property
    def channels(self) -> int: ...
    @property
    def description(self) -> str: ...
    def subset(self, indices: List[int]) -> Dataset:
        """These images, in this order."""
    def channel_stats(self, at_most: int = 10000) -> Tuple[List[float], List[float]]:
        """(mean, std) of each channel, of pixels scaled to 0..1."""


def open_dataset(dir: str, split: str = 'train', kind: str = 'auto') -> Dataset:
    """The data set in a folder: CIFAR, MNIST, Fashion-MNIST, images in class folders, tar files. Errors: nothing found,
    bad files."""


def array_dataset(images: numpy.ndarray[Any, Any], labels: List[int], class_names: List[str]) -> Dataset:
    """A data set with a copy of images [N, H, W, C] uint8 and labels [N]."""


def source_dataset(source: object, labels: List[int], class_names: List[str], channels: int = 3) -> Dataset:
    """A data set whose images are source[i], uint8 [H, W, C], read when they are wanted."""


def register_dataset(name: str, open: Callable[..., Any], splits: List[str] = ['train', 'test']) -> None:
    """Lets recipes name a kind of data set, data.kind: open(dir, split) returns a Dataset."""


def decode_image(file: Path, channels: int = 3) -> numpy.ndarray[Any, Any]:
    """An image file as uint8 [H, W, C]."""


class Augment:
    """What is done to images on their way into a batch; what is 0 is not done."""
    def __init__(self, size: int = 0, shorter_side: int = 0, pad: int = 0, flip: bool = False, cutout: int = 0, mean: List[float] = [], std: List[float] = [], rotation: float = 0.0, mixup: float = 0.0, cutmix: float = 0.0, erasing: float = 0.0, rand_augment: int = 0) -> None: ...
    @property
    def size(self) -> int: ...
    @size.setter
    def size(self, value: Any) -> None: ...
    @property
    def pad(self) -> int: ...
    @pad.setter
    def pad(self, value: Any) -> None: ...
    @property
    def flip(self) -> bool: ...
    @flip.setter
    def flip(self, value: Any) -> None: ...
    @property
    def cutout(self) -> int: ...
    @cutout.setter
    def cutout(self, value: Any) -> None: ...
    @property
    def mean(self) -> List[float]: ...
    @mean.setter
    def mean(self, value: Any) -> None: ...
    @property
    def std(self) -> List[float]: ...
    @std.setter
    def std(self, value: Any) -> None: ...


class Batch:
    def __init__(self, images: ArrayLike, labels: ArrayLike) -> None: ...
    @property
    def images(self) -> Tensor:
        """[N, H, W, C]"""
    @property
    def labels(self) -> Tensor:
        """[N] i64"""
    @property
    def indices(self) -> List[int]:
        """Which images of the data set."""
    @property
    def skipped(self) -> List[str]:
        """Why images are missing."""
    @property
    def mixing(self) -> float:
        """The share of each image in its mixed one; 1 where none are mixed."""
    def __iter__(self) -> Iterator: ...


class DataLoader:
    """Batches of images and labels, prepared beside the step. Every iteration is the next epoch; what is in a batch depends on seed, epoch and number alone:

        for images, labels in loader:"""
    def __init__(self, dataset: Dataset, batch_size: int = 128, shuffle: bool = False, num_workers: int = 1, drop_last: bool = False, seed: int = 1, dtype: object = 'f32', augment: Augment = ..., balanced: bool = False, skip_errors: bool = False) -> None: ...
    def __len__(self) -> int:
        """Batches in an epoch."""
    def __iter__(self) -> object: ...
    def __next__(self) -> Batch: ...
    def set_epoch(self, epoch: int) -> None:
        """Which the next iteration is, from 0."""
    @property
    def dataset(self) -> Dataset: ...


class Recipe:
    """What a run is, complete and checked."""
    def __init__(self, recipe: object) -> None:
        """Of a dictionary, a JSON text or a file. Errors: an unknown key, with the nearest known; a wrong type; an
        impossible value."""
    def text(self) -> str:
        """Every key, defaults included, as JSON."""
    def __repr__(self) -> str: ...
    def with_values(self, assignments: List[str]) -> Recipe:
        """With values set: ["schedule.lr=0.1"]."""


def first_recipe(dir: Path) -> Recipe:
    """Sensible choices for the images in a folder, to begin with."""


class RunInfo:
    """What a run is about to do."""
    @property
    def folder(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def first_step(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def notes(self) -> List[str]: ...


class StepProgress:
    """Where a run is."""
    @property
    def testing(self) -> bool: ...
    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def tested(self) -> int: ...
    @property
    def loss(self) -> float:
        """Mean over the epoch so far."""
    @property
    def top1(self) -> float:
        """A fraction."""
    @property
    def images_per_second(self) -> float: ...
    @property
    def lr(self) -> float:
        """Of the last step."""


class EpochLine:
    """An epoch that is done."""
    @property
    def epoch(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def train_top1(self) -> float: ...
    @property
    def measured_on(self) -> str: ...
    @property
    def loss(self) -> float: ...
    @property
    def top1(self) -> float: ...
    @property
    def top5(self) -> float: ...
    @property
    def best(self) -> bool: ...
    @property
    def lr(self) -> float: ...
    @property
    def images_per_second(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def test_seconds(self) -> float: ...


class Observer:
    """Is told what a run does. Derive from it and define what you want to know."""
    def __init__(self) -> None: ...
    def started(self, info: RunInfo) -> None: ...
    def step(self, progress: StepProgress) -> bool:
        """After each step. False: stop, after a checkpoint."""
    def epoch(self, line: EpochLine) -> None: ...
    def warning(self, text: str) -> None: ...


class Outcome:
    """How a run ended."""
    @property
    def finished(self) -> bool: ...
    @property
    def folder(self) -> str: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def epochs(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def measured_on(self) -> str: ...
    @property
    def top1(self) -> Optional[float]:
        """After the last epoch, a fraction; None when nothing was left to train."""
    @property
    def loss(self) -> Optional[float]: ...


def _run(recipe: object, observer: Observer, out: Path, resume: bool, fit: bool, change: bool, tensorboard: bool) -> Outcome:
    """For exciton.train."""


class StepResult:
    """What a step gave; `loss` is the mean over the batch, before the update."""
    @property
    def loss(self) -> float: ...
    @property
    def gradient_norm(self) -> float: ...
    @property
    def skipped(self) -> bool: ...
    @property
    def correct(self) -> int: ...
    @property
    def images(self) -> int: ...


class Loop:
    """The training step: forward, loss, backward, update."""
    def __init__(self, module: Module, optimizer: Optimizer, schedule: Schedule, label_smoothing: float = 0.0, clip_norm: float = 0.0, clip_value: float = 0.0) -> None: ...
    def step(self, batch: Batch) -> StepResult:
        """Errors: a loss that is no number (NotFinite)."""
    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...


class Evaluation:
    """Accuracy and loss on a data set; shares are fractions."""
    @property
    def images(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def top1(self) -> float: ...
    @property
    def top5(self) -> float: ...
    @property
    def macro_recall(self) -> float: ...
    @property
    def recall(self) -> List[float]:
        """Of each class."""
    def confusion(self) -> numpy.ndarray[Any, Any]:
        """[classes, classes]: images of a class (row) by what they were taken for."""
    def __repr__(self) -> str: ...


class Prediction:
    """A class and its probability."""
    @property
    def name(self) -> str: ...
    @property
    def probability(self) -> float: ...
    def __iter__(self) -> Iterator: ...
    def __repr__(self) -> str: ...


class UnitStats:
    """What the gates of one unit do over many images."""
    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> int: ...
    @property
    def images(self) -> int: ...
    @property
    def mean(self) -> numpy.ndarray[Any, Any]:
        """[C], over all images."""
    @property
    def deviation(self) -> numpy.ndarray[Any, Any]:
        """[C], of the population."""
    def class_means(self, classes: int) -> numpy.ndarray[Any, Any]:
        """[classes, C]: figure 6 of the paper."""
    def class_deviations(self, classes: int) -> numpy.ndarray[Any, Any]:
        """[classes, C]: figure 7 of the paper."""
    @property
    def class_share(self) -> float:
        """Share of the variance that lies between classes."""
    @property
    def histogram(self) -> List[int]: ...
    @property
    def counts(self) -> Dict[Any, Any]: ...


class Importance:
    """How much one unit, or several together, matter."""
    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def multiply_adds(self) -> int: ...
    @property
    def differences(self) -> Dict[str, Tuple[float, float]]:
        """{"one": (difference of top-1, its standard error), "mean": ..., "zero": ...}"""


class Inspection:
    """What inspect() found: the gates of every unit, and what each is worth."""
    @property
    def top1(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def images(self) -> int: ...
    @property
    def units(self) -> List[UnitStats]: ...
    @property
    def importance(self) -> List[Importance]: ...
    @property
    def groups(self) -> List[Importance]: ...


class TrainedModel:
    """A trained model and what it must know of its images."""
    @property
    def model(self) -> Module:
        """A Module in evaluation mode."""
    @property
    def name(self) -> str: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def epoch(self) -> int: ...
    @property
    def class_names(self) -> List[str]: ...
    @property
    def image_size(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def mean(self) -> List[float]: ...
    @property
    def std(self) -> List[float]: ...
    def open_data(self, split: str = 'test') -> Dataset:
        """The run's own images: "train", "val" or "test"."""
    def loader_augment(self) -> Augment:
        """How images become its input: for DataLoader(augment=...)."""


def load(run_or_checkpoint: Path) -> TrainedModel:
    """A trained model, in evaluation mode: that of a run folder's best checkpoint, or newest."""


def evaluate(trained: TrainedModel, data: object = None, split: str = 'test', batch_size: int = 0) -> Evaluation:
    """Accuracy on a data set, a folder, or the run's own images."""


def predict(trained: TrainedModel, image: object, top: int = 5) -> List[Prediction]:
    """The classes of highest probability, of a file or an array of uint8 [H, W, C]."""


def inspect(trained: TrainedModel, data: object = None, split: str = 'test', importance_images: int = 1000) -> Inspection:
    """What the gates do over a data set, and how much each unit matters."""


def _export(run: Path, out: Path, to: str, dtype: str, fold: bool, input: str, data: str) -> str:
    """For exciton.export."""


def import_weights(file: Path, run: Path, model: str = '', source: str = '', class_names: List[str] = []) -> str:
    """Weights of PyTorch, timm, safetensors or NumPy as a run folder. Returns the source that fits."""


def set_num_threads(count: int) -> None:
    """Threads that every operation of the process runs on. Changes no result."""


def get_num_threads() -> int:
    """Threads that operations run on."""


def memory_stats() -> Dict[Any, Any]:
    """The memory pool's statistics: bytes_in_use, bytes_cached, peak_bytes_in_use, system_allocations, requests."""


def load_plugin(file: Path) -> None:
    """Loads units, models, operators, data sets, optimisers and schedules that were written in C++
    (exciton/train/plugin.hpp). Errors: no plugin, or one that was built for another version."""


default_generator: Generator
__version__: str
