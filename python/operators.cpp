/// The operators as functions.
#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/avg_pool.hpp"
#include "exciton/ops/batch_norm.hpp"
#include "exciton/ops/cast.hpp"
#include "exciton/ops/channel_shuffle.hpp"
#include "exciton/ops/concat.hpp"
#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/ops/dropout.hpp"
#include "exciton/ops/global_avg_pool.hpp"
#include "exciton/ops/linear.hpp"
#include "exciton/ops/max_pool.hpp"
#include "exciton/ops/mul.hpp"
#include "exciton/ops/registry.hpp"
#include "exciton/ops/reshape.hpp"
#include "exciton/ops/se/channel_conv.hpp"
#include "exciton/ops/se/excite.hpp"
#include "exciton/ops/se/scale.hpp"
#include "exciton/ops/se/squeeze.hpp"
#include "exciton/ops/slice_channels.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

/// f: Var(const Var&), as a function of anything that can be one.
template <Var (*f)(const Var&)>
Var unary(const Input& x) {
  return f(x.var);
}

Tensor labels_from(const Input& labels) {
  const DType type = labels.var.value().dtype();
  check(type == DType::i64 || type == DType::u8,
        "cross_entropy: labels: expected whole numbers, got ", name_of(type));
  return labels.var.value().to(DType::i64);
}

ops::SqueezeKind squeeze_kind(const std::string& name) {
  check(name == "avg" || name == "max", "squeeze: expected \"avg\" or \"max\", got \"", name, '"');
  return name == "avg" ? ops::SqueezeKind::avg : ops::SqueezeKind::max;
}

/// Running statistics. Those of training are changed in place, and must be somebody's memory.
Tensor running_from(const py::object& value, bool training) {
  if (value.is_none()) return {};
  if (!training || py::isinstance<Tensor>(value)) return tensor_from(value);
  if (py::isinstance<py::array>(value)) return share_array(value, true);
  throw py::type_error(
      "batch_norm: running statistics are updated in place: expected a tensor or an array, got " +
      py::repr(py::type::of(value)).cast<std::string>());
}

void bind_maps(py::module_& m) {
  m.def(
      "conv2d",
      [](const Input& x, const Input& w, const Input& b, std::int64_t stride, std::int64_t padding,
         std::int64_t dilation, std::int64_t groups) {
        return ops::conv2d(
            x.var, w.var, b.var,
            {.stride = stride, .padding = padding, .dilation = dilation, .groups = groups});
      },
      py::arg("x"), py::arg("weight"), py::arg("bias") = py::none(), py::arg("stride") = 1,
      py::arg("padding") = 0, py::arg("dilation") = 1, py::arg("groups") = 1, Released(),
      "x [N, H, W, C], weight [O, C/groups, kH, kW], bias [O] or None -> [N, H', W', O].");
  m.def(
      "max_pool2d",
      [](const Input& x, std::int64_t kernel, std::optional<std::int64_t> stride,
         std::int64_t padding, bool ceil_mode) {
        return ops::max_pool(x.var, {.kernel = kernel,
                                     .stride = stride.value_or(kernel),
                                     .padding = padding,
                                     .ceil_mode = ceil_mode});
      },
      py::arg("x"), py::arg("kernel_size"), py::arg("stride") = py::none(), py::arg("padding") = 0,
      py::arg("ceil_mode") = false, Released(), "x [N, H, W, C] -> [N, H', W', C].");
  m.def(
      "avg_pool2d",
      [](const Input& x, std::int64_t kernel, std::optional<std::int64_t> stride,
         std::int64_t padding, bool ceil_mode, bool count_include_pad) {
        return ops::avg_pool(x.var, {.kernel = kernel,
                                     .stride = stride.value_or(kernel),
                                     .padding = padding,
                                     .ceil_mode = ceil_mode,
                                     .count_include_pad = count_include_pad});
      },
      py::arg("x"), py::arg("kernel_size"), py::arg("stride") = py::none(), py::arg("padding") = 0,
      py::arg("ceil_mode") = false, py::arg("count_include_pad") = true, Released(),
      "x [N, H, W, C] -> [N, H', W', C].");
  m.def("global_avg_pool", &unary<ops::global_avg_pool>, py::arg("x"), Released(),
        "x [N, H, W, C] -> [N, C], the mean over the pixels.");
  m.def(
      "batch_norm",
      [](const Input& x, const py::object& mean, const py::object& var, const Input& weight,
         const Input& bias, bool training, double momentum, double eps) {
        ops::RunningStats running{running_from(mean, training), running_from(var, training)};
        const py::gil_scoped_release unlocked;
        ops::BatchNormSpec spec{.eps = eps, .momentum = momentum, .training = training};
        spec.running = running.mean.empty() ? nullptr : &running;
        return ops::batch_norm(x.var, weight.var, bias.var, spec);
      },
      py::arg("x"), py::arg("running_mean"), py::arg("running_var"), py::arg("weight"),
      py::arg("bias"), py::arg("training") = false, py::arg("momentum") = 0.1,
      py::arg("eps") = 1e-5,
      "x [N, H, W, C] or [N, C], all others [C]; the running ones may be None in training, and are "
      "updated in place: tensors, or arrays that can be written to.");
}

void bind_se(py::module_& m) {
  m.def(
      "squeeze",
      [](const Input& x, const std::string& kind) {
        return ops::squeeze(x.var, squeeze_kind(kind));
      },
      py::arg("x"), py::arg("kind") = "avg", Released(),
      "x [N, H, W, C] -> [N, C], the mean (\"avg\") or maximum (\"max\") over the pixels.");
  m.def(
      "excite",
      [](const Input& z, const Input& w1, const Input& b1, const Input& w2, const Input& b2,
         const std::string& gate) {
        return ops::excite(z.var, w1.var, b1.var, w2.var, b2.var, ops::gate_names.parse(gate));
      },
      py::arg("z"), py::arg("w1"), py::arg("b1"), py::arg("w2"), py::arg("b2"),
      py::arg("gate") = "sigmoid", Released(),
      "z [N, C], w1 [R, C], b1 [R] or None, w2 [C, R], b2 [C] or None -> gates [N, C]: "
      "gate(w2 relu(w1 z + b1) + b2).");
  m.def(
      "scale", [](const Input& x, const Input& gates) { return ops::scale(x.var, gates.var); },
      py::arg("x"), py::arg("gates"), Released(),
      "x [N, H, W, C], gates [N, C] -> [N, H, W, C], every map times its gate.");
  m.def(
      "channel_conv",
      [](const Input& z, const Input& w) { return ops::channel_conv(z.var, w.var); }, py::arg("z"),
      py::arg("weight"), Released(),
      "z [N, C], weight [k], k odd -> [N, C], ECA's filter along the channels.");
}

}  // namespace

void bind_operators(py::module_& m) {
  bind_maps(m);
  bind_se(m);
  m.def("relu", &unary<ops::relu>, py::arg("x"), Released(), "max(0, x), element by element.");
  m.def("sigmoid", &unary<ops::sigmoid>, py::arg("x"), Released(), "1 / (1 + exp(-x)).");
  m.def("tanh", &unary<ops::tanh>, py::arg("x"), Released(), "Hyperbolic tangent.");
  m.def("hard_sigmoid", &unary<ops::hard_sigmoid>, py::arg("x"), Released(),
        "min(max(x + 3, 0), 6) / 6.");
  m.def(
      "add", [](const Input& a, const Input& b) { return ops::add(a.var, b.var); }, py::arg("a"),
      py::arg("b"), Released(), "a + b, of one shape and type.");
  m.def(
      "mul", [](const Input& a, const Input& b) { return ops::mul(a.var, b.var); }, py::arg("a"),
      py::arg("b"), Released(), "a b, of one shape and type.");
  m.def(
      "linear",
      [](const Input& x, const Input& w, const Input& b) {
        return ops::linear(x.var, w.var, b.var);
      },
      py::arg("x"), py::arg("weight"), py::arg("bias") = py::none(), Released(),
      "x [N, I], weight [O, I], bias [O] or None -> [N, O] = x weight' + bias.");
  m.def(
      "cross_entropy",
      [](const Input& logits, const Input& labels, double label_smoothing, const Input& weight) {
        const Tensor& w = weight.var.value();
        return ops::cross_entropy(logits.var, labels_from(labels), label_smoothing,
                                  w.empty() ? w : w.to(DType::f64));
      },
      py::arg("logits"), py::arg("labels"), py::arg("label_smoothing") = 0.0,
      py::arg("weight") = py::none(), Released(),
      "logits [N, K], labels [N] in [0, K), weight [K] or None -> the mean loss, [1].");
  m.def(
      "softmax", [](const Input& x) { return ops::softmax(x.var.value()); }, py::arg("logits"),
      Released(), "logits [N, K] -> probabilities [N, K]; records nothing.");
  m.def(
      "dropout",
      [](const Input& x, double p, Generator* generator) {
        Generator& g = generator ? *generator : default_generator();
        const py::gil_scoped_release unlocked;
        return ops::dropout(x.var, p, g);
      },
      py::arg("x"), py::arg("p") = 0.5, py::arg("generator") = py::none(),
      "Zeroes elements with probability p and scales the rest by 1 / (1 - p).");
  m.def(
      "concat",
      [](const std::vector<Input>& x) {
        std::vector<Var> vars;
        for (const Input& input : x) vars.push_back(input.var);
        return ops::concat(vars);
      },
      py::arg("x"), Released(), "[..., C1], [..., C2], ... -> [..., C1 + C2 + ...].");
  m.def(
      "slice_channels",
      [](const Input& x, std::int64_t begin, std::int64_t count) {
        return ops::slice_channels(x.var, begin, count);
      },
      py::arg("x"), py::arg("begin"), py::arg("count"), Released(),
      "x [..., C] -> [..., count] from channel `begin` on.");
  m.def(
      "channel_shuffle",
      [](const Input& x, std::int64_t groups) { return ops::channel_shuffle(x.var, groups); },
      py::arg("x"), py::arg("groups"), Released(), "x [..., C] -> [..., C].");
  m.def(
      "reshape",
      [](const Input& x, const std::vector<std::int64_t>& shape) {
        return ops::reshape(x.var, shape_from(shape));
      },
      py::arg("x"), py::arg("shape"), Released(), "The same elements under another shape.");
  m.def("flatten", &unary<ops::flatten>, py::arg("x"), Released(), "[N, ...] -> [N, the rest].");
  m.def(
      "cast",
      [](const Input& x, const py::object& dtype) { return ops::cast(x.var, dtype_from(dtype)); },
      py::arg("x"), py::arg("dtype"), "Converted between floating types.");
  m.def(
      "call",
      [](const std::string& name, const std::vector<Input>& inputs,
         const ops::Attributes& attributes) {
        std::vector<Var> vars;
        for (const Input& input : inputs) vars.push_back(input.var);
        return ops::call(name, vars, attributes);
      },
      py::arg("name"), py::arg("inputs"), py::arg("attributes") = ops::Attributes(), Released(),
      "The operator of that name that a plugin registered. Errors: no such operator, other inputs "
      "or attributes than it takes.");
  m.def(
      "registered", [] { return ops::operator_registry().names(); },
      "Names of the operators that plugins registered.");
}

}  // namespace exciton::python
