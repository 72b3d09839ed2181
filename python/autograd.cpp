/// Var, Parameter, Tape, operators written in Python, and the gradient check.
#include <memory>
#include <thread>
#include <vector>

#include "exciton/core/gradcheck.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/arithmetic.hpp"
#include "exciton/ops/reshape.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

/// Tape as a `with` block: it records between enter and leave.
class TapeBlock {
 public:
  void enter() {
    check(tape_ == nullptr, "tape: it records already, in a block around this one");
    tape_ = std::make_unique<Tape>();
    thread_ = std::this_thread::get_id();
  }
  void leave() {
    check(tape_ == nullptr || thread_ == std::this_thread::get_id(),
          "tape: its block did not begin on this thread");
    tape_.reset();
  }
  Tape& tape() const {
    check(tape_ != nullptr,
          "tape: it records within its block alone: with exciton.Tape() as tape:");
    return *tape_;
  }

 private:
  std::unique_ptr<Tape> tape_;
  std::thread::id thread_;
};

/// A `with` block without recording; it may be entered again within itself.
class NoGrad {
 public:
  void enter() {
    check(pauses_.empty() || thread_ == std::this_thread::get_id(),
          "no_grad: it is in use by another thread; make one for each");
    thread_ = std::this_thread::get_id();
    pauses_.push_back(std::make_unique<Tape::Pause>());
  }
  void leave() {
    check(!pauses_.empty() && thread_ == std::this_thread::get_id(),
          "no_grad: its block did not begin on this thread");
    pauses_.pop_back();
  }

 private:
  std::vector<std::unique_ptr<Tape::Pause>> pauses_;
  std::thread::id thread_;
};

/// An operator of a class with `forward(ctx, ...)` and `backward(ctx, dy)` (exciton/autograd.py).
class PythonNode final : public OperatorNode {
 public:
  /// `arguments` as they were given; those at `places` are the tensors.
  PythonNode(const py::object& function, const py::object& context, const py::list& arguments,
             const py::dict& options, std::vector<std::size_t> places)
      : function_(function),
        context_(context),
        arguments_(arguments),
        options_(options),
        places_(std::move(places)),
        name_(py::str(function.attr("__name__"))) {}

  std::string_view name() const override { return name_; }

  Tensor forward(std::span<const Tensor> x) override {
    const py::gil_scoped_acquire lock;
    const py::list given(py::reinterpret_borrow<py::object>(arguments_.get()));
    forms_.clear();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      given[places_[i]] = py::cast(read_only_or_none(x[i]));
      forms_.emplace_back(x[i].shape(), x[i].dtype());
    }
    const py::object y = function_.get().attr("forward")(context_.get(), *given, **options());
    return tensor_from(y);
  }

  std::vector<Tensor> backward(Tensor dy, Tensor, std::span<const bool> needs) override {
    const py::gil_scoped_acquire lock;
    const std::size_t count = py::len(arguments_.get());
    py::list wanted;
    for (std::size_t k = 0; k < count; ++k) wanted.append(false);
    for (std::size_t i = 0; i < places_.size(); ++i) wanted[places_[i]] = bool(needs[i]);
    context_.get().attr("needs_input_grad") = py::tuple(wanted);
    const py::object result =
        function_.get().attr("backward")(context_.get(), ReadOnlyTensor(std::move(dy)));
    const py::tuple grads =
        py::isinstance<py::tuple>(result) ? py::tuple(result) : py::make_tuple(result);
    check(grads.size() == count, name_, ": backward gave ", grads.size(), " gradients for the ",
          count, " arguments of forward; None is for those without one");
    std::vector<Tensor> out;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const py::object g = grads[places_[i]];
      const auto& [shape, type] = forms_[i];
      if (g.is_none() || !needs[i]) {
        out.emplace_back();
        continue;
      }
      const Tensor gradient = tensor_from(g);
      check(gradient.shape() == shape, name_, ": the gradient of input ", i, " is ",
            gradient.shape(), ", the input ", shape);
      out.push_back(gradient.to(type));
    }
    return out;
  }

 private:
  py::dict options() const { return py::reinterpret_borrow<py::dict>(options_.get()); }

  Kept function_, context_, arguments_, options_;
  std::vector<std::size_t> places_;
  std::vector<std::pair<Shape, DType>> forms_;
  std::string name_;
};

bool is_tensor(py::handle value) {
  return py::isinstance<Var>(value) || py::isinstance<Tensor>(value) ||
         py::isinstance<Parameter>(value) || py::isinstance<py::array>(value);
}

Var apply_python(const py::object& function, const py::object& context, const py::list& arguments,
                 const py::dict& options) {
  std::vector<Var> inputs;
  std::vector<std::size_t> places;
  py::list blank;
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    if (!is_tensor(arguments[k])) {
      blank.append(arguments[k]);
      continue;
    }
    blank.append(py::none());
    places.push_back(k);
    inputs.push_back(input_from(arguments[k]).var);
  }
  auto node = std::make_unique<PythonNode>(function, context, blank, options, std::move(places));
  const py::gil_scoped_release unlocked;
  if (Tape* const tape = Tape::active()) return tape->record(std::move(node), inputs);
  std::vector<Tensor> x;
  for (const Var& v : inputs) x.push_back(v.value());
  return node->forward(x);
}

double checked_gradient(const py::object& function, const std::vector<Input>& inputs, double eps,
                        double tolerance, int elements, std::uint64_t seed) {
  std::vector<Tensor> x;
  for (const Input& input : inputs) x.push_back(input.var.value());
  const py::object owner = py::getattr(function, "__self__", py::none());  // of Swish.apply: Swish
  const py::object& named = PyType_Check(owner.ptr()) ? owner : function;
  const std::string name = py::str(py::getattr(named, "__name__", py::str("gradcheck")));
  const Kept kept(function);
  const auto run = [&kept](std::span<const Var> at) {
    const py::gil_scoped_acquire lock;
    py::list given;
    for (const Var& v : at) given.append(v);
    return input_from(kept.get()(*given)).var;
  };
  const py::gil_scoped_release unlocked;
  const GradcheckResult result = gradcheck(
      name, run, x, {.eps = eps, .tolerance = tolerance, .elements = elements, .seed = seed});
  check(result.ok, result.message);
  return result.worst;
}

Tensor shared_or_copied(const Input& value) {
  const Tensor& t = value.var.value();
  return t.shared() ? t.clone() : t;
}

void bind_parameter(py::module_& m) {
  py::class_<Parameter, std::shared_ptr<Parameter>>(
      m, "Parameter",
      "A trained tensor: its value, and the gradient that Tape.backward adds to. Kept by modules "
      "as an attribute.")
      .def(py::init([](const Input& data, bool requires_grad, const std::string& role) {
             auto p = std::make_shared<Parameter>(shared_or_copied(data));
             p->trainable = requires_grad;
             p->role = role == "norm" ? Role::norm : role == "bias" ? Role::bias : Role::weight;
             check(role == "weight" || role == "norm" || role == "bias",
                   "parameter: expected the role weight, norm or bias, got \"", role, '"');
             return p;
           }),
           py::arg("data"), py::arg("requires_grad") = true, py::arg("role") = "weight",
           "Takes a copy. `role`: \"weight\", \"norm\" or \"bias\"; optimisers may exempt the last "
           "two from weight decay.")
      .def_property_readonly(
          "value", [](const Parameter& p) { return read_only_or_none(p.value()); },
          "To look at; copy_ changes it.")
      .def(
          "numpy", [](const Parameter& p) { return to_array(p.value(), false); },
          "A read-only array over the value, which follows its changes.")
      .def(
          "__array__",
          [](const py::object& self, const py::object& dtype, const py::object& copy) {
            return py::cast(ReadOnlyTensor(self.cast<const Parameter&>().value()))
                .attr("__array__")(dtype, copy);
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def(
          "copy_",
          [](const py::object& self, const Input& source) {
            auto& p = self.cast<Parameter&>();
            p.mutable_value().copy_from(source.var.value().to(p.value().dtype()));
            return self;
          },
          py::arg("source"), "Takes values of the same shape. Errors: another shape.")
      .def_property(
          "grad", [](const Parameter& p) { return or_none(p.grad); },
          [](Parameter& p, const Input& g) {
            check(g.var.empty() || g.var.shape() == p.shape(), "parameter: a gradient of ",
                  g.var.shape(), " for a value of ", p.shape());
            // A copy: a step adds to it, which an array or tensor of somebody else must not show.
            p.grad = g.var.empty() ? Tensor() : shared_or_copied(g).to(p.value().dtype());
          },
          "What is assigned is copied. The sum of the gradients since the last step or zero_grad; "
          "None when there is none.")
      .def_readwrite("requires_grad", &Parameter::trainable)
      .def_property_readonly("shape", [](const Parameter& p) { return to_tuple(p.shape()); })
      .def_property_readonly(
          "dtype", [](const Parameter& p) { return std::string(name_of(p.value().dtype())); })
      .def("numel", &Parameter::numel)
      .def_property_readonly(
          "role",
          [](const Parameter& p) {
            return p.role == Role::norm ? "norm" : p.role == Role::bias ? "bias" : "weight";
          })
      .def("__repr__", [](const Parameter& p) {
        std::ostringstream out;
        out << "parameter " << p.shape() << ' ' << p.value().dtype();
        return out.str();
      });
}

/// f(a, b) with b a value, or where it has no dimensions a number.
template <auto f>
Var with_other(const Var& a, const Input& b) {
  const Tensor& value = b.var.value();
  if (b.var.id() < 0 && !value.empty() && value.rank() == 0) return f(a, value.item());
  return f(a, b.var);
}

void bind_var(py::module_& m) {
  py::class_<Var>(
      m, "Var",
      "A value on its way through a network, and its place on the tape. +, -, * work on "
      "values of one shape and on numbers.")
      .def(py::init([](const Input& value) { return Var(value.var); }), py::arg("value"))
      .def_property_readonly("value", [](const Var& v) { return read_only_or_none(v.value()); })
      .def_property_readonly("shape", [](const Var& v) { return to_tuple(v.shape()); })
      .def_property_readonly("dtype",
                             [](const Var& v) { return std::string(name_of(v.value().dtype())); })
      .def_property_readonly(
          "requires_grad", [](const Var& v) { return v.id() >= 0; },
          "Whether a tape has recorded it.")
      .def("item", [](const Var& v) { return v.value().item(); })
      .def("__float__", [](const Var& v) { return v.value().item(); })
      .def(
          "numpy", [](const Var& v) { return to_array(v.value(), false); },
          "A read-only array over the value.")
      .def(
          "__array__",
          [](const Var& v, const py::object& dtype, const py::object& copy) {
            return py::cast(ReadOnlyTensor(v.value())).attr("__array__")(dtype, copy);
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def(
          "detach", [](const Var& v) { return Var(v.value()); }, "The value as a constant.")
      .def(
          "reshape",
          [](const Var& v, const std::vector<std::int64_t>& shape) {
            return ops::reshape(v, shape_from(shape));
          },
          py::arg("shape"), Released())
      .def(
          "relu", [](const Var& v) { return ops::relu(v); }, Released())
      .def(
          "sigmoid", [](const Var& v) { return ops::sigmoid(v); }, Released())
      .def(
          "backward",
          [](const Var& loss) {
            check(Tape::active() != nullptr,
                  "backward: no tape records; run the network in a "
                  "block: with exciton.Tape():");
            Tape::active()->backward(loss);
          },
          Released(), "As backward of the tape that records.")
      .def("__add__", &with_other<[](const auto& a, const auto& b) { return a + b; }>,
           py::arg("other"), py::is_operator(), Released())
      .def("__radd__", &with_other<[](const auto& a, const auto& b) { return b + a; }>,
           py::arg("other"), py::is_operator(), Released())
      .def("__sub__", &with_other<[](const auto& a, const auto& b) { return a - b; }>,
           py::arg("other"), py::is_operator(), Released())
      .def("__rsub__", &with_other<[](const auto& a, const auto& b) { return b - a; }>,
           py::arg("other"), py::is_operator(), Released())
      .def("__mul__", &with_other<[](const auto& a, const auto& b) { return a * b; }>,
           py::arg("other"), py::is_operator(), Released())
      .def("__rmul__", &with_other<[](const auto& a, const auto& b) { return b * a; }>,
           py::arg("other"), py::is_operator(), Released())
      .def(
          "__truediv__", [](const Var& a, double b) { return a / b; }, py::arg("other"),
          py::is_operator(), Released())
      .def(
          "__neg__", [](const Var& a) { return -a; }, py::is_operator(), Released())
      .def("__repr__",
           [](const Var& v) {
             std::ostringstream out;
             out << "Var " << v.value();
             return out.str();
           })
      .attr("__array_ufunc__") = py::none();  // array + var is ours, not NumPy's
}

}  // namespace

void bind_autograd(py::module_& m) {
  bind_parameter(m);
  bind_var(m);
  py::class_<TapeBlock>(m, "Tape",
                        "Records what is computed in its block, for backward:\n\n"
                        "    with exciton.Tape() as tape:\n"
                        "        loss = exciton.ops.cross_entropy(model(images), labels)\n"
                        "        tape.backward(loss)")
      .def(py::init<>())
      .def("__enter__",
           [](const py::object& self) {
             self.cast<TapeBlock&>().enter();
             return self;
           })
      .def("__exit__", [](TapeBlock& t, const py::args&) { t.leave(); })
      .def(
          "backward", [](const TapeBlock& t, const Var& loss) { t.tape().backward(loss); },
          py::arg("loss"), Released(),
          "Adds d loss / d p to the gradient of every parameter p that it leads to, and empties "
          "the tape. Errors: more than one element; not recorded here.")
      .def(
          "backward",
          [](const TapeBlock& t, const Var& output, const Input& gradient) {
            t.tape().backward(output, gradient.var.value());
          },
          py::arg("output"), py::arg("gradient"), Released(),
          "The same from any output with its gradient, of the same shape.")
      .def(
          "watch", [](const TapeBlock& t, const Input& x) { return t.tape().watch(x.var.value()); },
          py::arg("value"), "A constant whose gradient is wanted, too.")
      .def(
          "gradient",
          [](const TapeBlock& t, const Var& v) { return or_none(t.tape().gradient(v)); },
          py::arg("watched"), "Its gradient after backward; None if none arrived.")
      .def(
          "__len__", [](const TapeBlock& t) { return t.tape().size(); }, "Entries on it.");
  py::class_<NoGrad>(m, "no_grad", "Within the block nothing is recorded.")
      .def(py::init<>())
      .def("__enter__", &NoGrad::enter)
      .def("__exit__", [](NoGrad& n, const py::args&) { n.leave(); });
  m.def("_apply", &apply_python, py::arg("function"), py::arg("context"), py::arg("arguments"),
        py::arg("options"), "For exciton.autograd.Function.");
  m.def("gradcheck", &checked_gradient, py::arg("function"), py::arg("inputs"),
        py::arg("eps") = 1e-5, py::arg("tolerance") = 1e-7, py::arg("elements") = 64,
        py::arg("seed") = 1,
        "Compares the gradients of function(*inputs) in double with central differences. Returns "
        "the largest error, relative to max(1, |gradient|). Errors: one above `tolerance`, with "
        "its place and both numbers.");
}

}  // namespace exciton::python
