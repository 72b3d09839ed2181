/// Layers, by the names that users of PyTorch expect.
#include "exciton/nn/layers.hpp"

#include "exciton/nn/squeeze_excite.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

Generator& chosen(Generator* generator) { return generator ? *generator : default_generator(); }

template <class M>
std::shared_ptr<Parameter> part(const std::shared_ptr<M>& module, Parameter M::*p) {
  return (module.get()->*p).empty() ? nullptr
                                    : std::shared_ptr<Parameter>(module, &(module.get()->*p));
}

/// `class_.def_property_readonly(name, ...)` of a parameter within the module.
template <class Class, class M>
void expose(Class& c, const char* name, Parameter M::*p) {
  c.def_property_readonly(name, [p](const std::shared_ptr<M>& module) { return part(module, p); });
}

/// A layer of C++; a class of Python's that derived from one could not change what it computes, so
/// none may.
template <class M>
struct Layer : py::class_<M, nn::Module, std::shared_ptr<M>> {
  Layer(py::module_& m, const char* name, const char* doc)
      : py::class_<M, nn::Module, std::shared_ptr<M>>(m, name, doc, py::is_final()) {}
};

void bind_weighted(py::module_& m) {
  Layer<nn::Conv2d> conv(m, "Conv2d",
                         "[N, H, W, in] -> [N, H', W', out]; weight [out, in/groups, kH, kW].");
  conv.def(py::init([](std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                       std::int64_t padding, std::int64_t dilation, std::int64_t groups, bool bias,
                       Generator* generator) {
             const ops::ConvSpec spec{
                 .stride = stride, .padding = padding, .dilation = dilation, .groups = groups};
             return std::make_shared<nn::Conv2d>(in, out, kernel, spec, chosen(generator), bias);
           }),
           py::arg("in_channels"), py::arg("out_channels"), py::arg("kernel_size"),
           py::arg("stride") = 1, py::arg("padding") = 0, py::arg("dilation") = 1,
           py::arg("groups") = 1, py::arg("bias") = true, py::arg("generator") = py::none());
  expose(conv, "weight", &nn::Conv2d::weight);
  expose(conv, "bias", &nn::Conv2d::bias);
  Layer<nn::BatchNorm> norm(m, "BatchNorm2d", "[N, H, W, C] or [N, C], the same shape out.");
  norm.def(py::init([](std::int64_t channels, double eps, double momentum) {
             return std::make_shared<nn::BatchNorm>(channels, nn::BatchNormOptions{eps, momentum});
           }),
           py::arg("num_features"), py::arg("eps") = 1e-5, py::arg("momentum") = 0.1);
  expose(norm, "weight", &nn::BatchNorm::weight);
  expose(norm, "bias", &nn::BatchNorm::bias);
  norm.def_property_readonly("running_mean", [](const nn::BatchNorm& b) { return b.running.mean; })
      .def_property_readonly("running_var", [](const nn::BatchNorm& b) { return b.running.var; });
  Layer<nn::Linear> linear(m, "Linear", "[N, in] -> [N, out]; weight [out, in].");
  linear.def(py::init([](std::int64_t in, std::int64_t out, bool bias, Generator* generator) {
               return std::make_shared<nn::Linear>(in, out, chosen(generator), bias);
             }),
             py::arg("in_features"), py::arg("out_features"), py::arg("bias") = true,
             py::arg("generator") = py::none());
  expose(linear, "weight", &nn::Linear::weight);
  expose(linear, "bias", &nn::Linear::bias);
  py::class_<nn::SqueezeExcite, nn::ChannelAttention, std::shared_ptr<nn::SqueezeExcite>>(
      m, "SqueezeExcite", "[N, H, W, C] scaled by the gates of SE, the same shape out.",
      py::is_final())
      .def(py::init([](std::int64_t channels, std::int64_t reduction, const std::string& squeeze,
                       const std::string& gate, bool bias, Generator* generator) {
             nn::SESpec spec{.enabled = true,
                             .reduction = reduction,
                             .bias = bias,
                             .squeeze = squeeze,
                             .gate = gate};
             return std::make_shared<nn::SqueezeExcite>(channels, spec, chosen(generator));
           }),
           py::arg("channels"), py::arg("reduction") = 16, py::arg("squeeze") = "avg",
           py::arg("gate") = "sigmoid", py::arg("bias") = true, py::arg("generator") = py::none());
}

void bind_pools(py::module_& m) {
  const auto spec = [](std::int64_t kernel, std::optional<std::int64_t> stride,
                       std::int64_t padding, bool ceil) {
    return ops::PoolSpec{
        .kernel = kernel, .stride = stride.value_or(kernel), .padding = padding, .ceil_mode = ceil};
  };
  Layer<nn::MaxPool>(m, "MaxPool2d", "[N, H, W, C] -> [N, H', W', C].")
      .def(py::init([spec](std::int64_t k, std::optional<std::int64_t> s, std::int64_t p, bool c) {
             return std::make_shared<nn::MaxPool>(spec(k, s, p, c));
           }),
           py::arg("kernel_size"), py::arg("stride") = py::none(), py::arg("padding") = 0,
           py::arg("ceil_mode") = false);
  Layer<nn::AvgPool>(m, "AvgPool2d", "[N, H, W, C] -> [N, H', W', C].")
      .def(py::init([spec](std::int64_t k, std::optional<std::int64_t> s, std::int64_t p, bool c) {
             return std::make_shared<nn::AvgPool>(spec(k, s, p, c));
           }),
           py::arg("kernel_size"), py::arg("stride") = py::none(), py::arg("padding") = 0,
           py::arg("ceil_mode") = false);
  Layer<nn::GlobalAvgPool>(m, "GlobalAvgPool", "[N, H, W, C] -> [N, C].").def(py::init<>());
}

}  // namespace

void bind_layers(py::module_& m) {
  bind_weighted(m);
  bind_pools(m);
  Layer<nn::Relu>(m, "ReLU", "max(0, x).").def(py::init<>());
  Layer<nn::Dropout>(m, "Dropout", "Zeroes elements with probability p in training.")
      .def(py::init([](double p, Generator* generator) {
             return std::make_shared<nn::Dropout>(p, chosen(generator));
           }),
           py::arg("p") = 0.5, py::arg("generator") = py::none());
  m.def(
      "uniform_parameter",
      [](const std::vector<std::int64_t>& shape, double bound, Generator* generator) {
        return std::make_shared<Parameter>(
            nn::uniform(shape_from(shape), bound, chosen(generator)));
      },
      py::arg("shape"), py::arg("bound"), py::arg("generator") = py::none(),
      "A parameter of independent uniform numbers in [-bound, bound).");
  m.def(
      "kaiming_normal_parameter",
      [](const std::vector<std::int64_t>& shape, std::int64_t fan_out, Generator* generator) {
        return std::make_shared<Parameter>(
            nn::kaiming_normal(shape_from(shape), fan_out, chosen(generator)));
      },
      py::arg("shape"), py::arg("fan_out"), py::arg("generator") = py::none(),
      "A parameter of normal numbers of deviation sqrt(2 / fan_out).");
}

}  // namespace exciton::python
