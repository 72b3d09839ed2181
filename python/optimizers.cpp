/// Optimisers, schedules, the moving average.
#include "exciton/nn/module.hpp"
#include "exciton/optim/adamw.hpp"
#include "exciton/optim/ema.hpp"
#include "exciton/optim/registry.hpp"
#include "exciton/optim/schedule.hpp"
#include "exciton/optim/sgd.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

/// Of a module; or a list of parameters, named by number; or of (name, parameter).
std::vector<NamedParameter> named(const py::object& parameters) {
  if (py::isinstance<nn::Module>(parameters)) return nn::parameters(parameters.cast<nn::Module&>());
  const auto wrong = [](py::handle got) {
    return py::type_error(
        "optimizer: expected a module, a list of its parameters or of (name, parameter), got " +
        py::repr(got).cast<std::string>());
  };
  if (!py::isinstance<py::iterable>(parameters)) throw wrong(parameters);
  std::vector<NamedParameter> out;
  for (py::handle entry : parameters) {
    std::string name = std::to_string(out.size());
    py::object one = py::reinterpret_borrow<py::object>(entry);
    if (py::isinstance<py::tuple>(entry) && py::len(entry) == 2) {
      name = py::str(one[py::int_(0)]);
      one = one[py::int_(1)];
    }
    if (!py::isinstance<Parameter>(one)) throw wrong(entry);
    out.push_back({std::move(name), &one.cast<Parameter&>()});
  }
  check(!out.empty(), "optimizer: expected a module, or a list of its parameters; got none");
  return out;
}

/// Whatever the parameters belong to, in Python and in C++.
py::object owners_of(const py::object& parameters) {
  if (!py::isinstance<nn::Module>(parameters)) return py::tuple(parameters);
  return py::make_tuple(parameters, parameters.attr("parameters")());
}

/// Something made of parameters, and what keeps them alive as long as it.
template <class T, class... Arguments>
std::shared_ptr<T> owning(const py::object& parameters, Arguments&&... arguments) {
  struct Owner {
    Kept owners;
    T made;
  };
  const auto owner = std::make_shared<Owner>(
      Owner{Kept(owners_of(parameters)), T(std::forward<Arguments>(arguments)...)});
  return {owner, &owner->made};
}

template <class O>
using Class = py::class_<O, optim::Optimizer, std::shared_ptr<O>>;

void bind_base(py::module_& m) {
  py::class_<optim::Optimizer, std::shared_ptr<optim::Optimizer>>(m, "Optimizer")
      .def("zero_grad", &optim::Optimizer::clear_gradients, "Forgets the gradients.")
      .def(
          "state",
          [](optim::Optimizer& o) {
            std::vector<std::pair<std::string, Tensor>> out;
            for (const NamedTensor& t : o.state()) out.emplace_back(t.name, *t.tensor);
            return out;
          },
          "What it remembers from step to step, by name, over its own memory.")
      .def(
          "set_groups",
          [](optim::Optimizer& o, const std::vector<py::dict>& groups) {
            std::vector<optim::ParameterGroup> out;
            for (const py::dict& g : groups)
              out.push_back({g["names"].cast<std::string>(),
                             g.contains("lr_factor") ? g["lr_factor"].cast<double>() : 1,
                             g.contains("decay_factor") ? g["decay_factor"].cast<double>() : 1});
            o.set_groups(out);
          },
          py::arg("groups"),
          "Other rates for some parameters: [{\"names\": \"*.se.*\", \"lr_factor\": 0.1}].");
}

template <class O>
void add_step(Class<O>& c) {
  c.def(
      "step", [](O& o, std::optional<double> lr) { lr ? o.step(*lr) : o.step(); },
      py::arg("lr") = py::none(), Released(),
      "Applies and clears the gradients, at this rate or its own.");
}

}  // namespace

void bind_optimizers(py::module_& m) {
  bind_base(m);
  Class<optim::Sgd> sgd(m, "SGD",
                        "torch.optim.SGD with dampening 0; clears the gradients it applies.");
  sgd.def(py::init([](const py::object& parameters, double lr, double momentum, double weight_decay,
                      bool nesterov, bool decoupled, bool decay_norm_and_bias) {
            return owning<optim::Sgd>(
                parameters, named(parameters),
                optim::SgdOptions{.lr = lr,
                                  .momentum = momentum,
                                  .nesterov = nesterov,
                                  .weight_decay = weight_decay,
                                  .decoupled = decoupled,
                                  .decay_norm_and_bias = decay_norm_and_bias});
          }),
          py::arg("params"), py::arg("lr") = 0.1, py::arg("momentum") = 0.0,
          py::arg("weight_decay") = 0.0, py::arg("nesterov") = false, py::arg("decoupled") = false,
          py::arg("decay_norm_and_bias") = true);
  add_step(sgd);
  Class<optim::AdamW> adamw(m, "AdamW", "torch.optim.AdamW; clears the gradients it applies.");
  adamw.def(py::init([](const py::object& parameters, double lr, std::pair<double, double> betas,
                        double eps, double weight_decay, bool decay_norm_and_bias) {
              return owning<optim::AdamW>(
                  parameters, named(parameters),
                  optim::AdamWOptions{.lr = lr,
                                      .beta1 = betas.first,
                                      .beta2 = betas.second,
                                      .eps = eps,
                                      .weight_decay = weight_decay,
                                      .decay_norm_and_bias = decay_norm_and_bias});
            }),
            py::arg("params"), py::arg("lr") = 1e-3, py::arg("betas") = std::make_pair(0.9, 0.999),
            py::arg("eps") = 1e-8, py::arg("weight_decay") = 0.01,
            py::arg("decay_norm_and_bias") = true);
  add_step(adamw);
  m.def(
      "clip_grad_norm_",
      [](const py::object& parameters, double max_norm) {
        return optim::clip_gradients(named(parameters), max_norm);
      },
      py::arg("parameters"), py::arg("max_norm"),
      "Scales all gradients together down to this norm. Returns the norm before.");
  m.def(
      "clip_grad_value_",
      [](const py::object& parameters, double value) {
        optim::clip_values(named(parameters), value);
      },
      py::arg("parameters"), py::arg("clip_value"), "Brings every element into [-value, value].");
  py::class_<optim::Schedule>(
      m, "Schedule",
      "The learning rate as a function of the step: \"constant\", \"step\", "
      "\"multistep\", \"cosine\", \"one_cycle_linear\" or a registered one.")
      .def(py::init([](const std::string& kind, double lr, std::int64_t total_steps,
                       std::int64_t steps_per_epoch, double gamma, double step_size,
                       const std::vector<double>& milestones, double final_lr,
                       double warmup_fraction, std::int64_t warmup_steps, double warmup_start_lr) {
             return optim::Schedule({.kind = kind,
                                     .lr = lr,
                                     .total_steps = total_steps,
                                     .steps_per_epoch = steps_per_epoch,
                                     .gamma = gamma,
                                     .step_size = step_size,
                                     .milestones = milestones,
                                     .final_lr = final_lr,
                                     .warmup_fraction = warmup_fraction,
                                     .warmup_steps = warmup_steps,
                                     .warmup_start_lr = warmup_start_lr});
           }),
           py::arg("kind"), py::arg("lr"), py::arg("total_steps"), py::arg("steps_per_epoch") = 1,
           py::arg("gamma") = 0.1, py::arg("step_size") = 30.0,
           py::arg("milestones") = std::vector<double>(), py::arg("final_lr") = 0.0,
           py::arg("warmup_fraction") = 0.2, py::arg("warmup_steps") = 0,
           py::arg("warmup_start_lr") = 0.0)
      .def("lr", &optim::Schedule::lr, py::arg("step"), "The rate of a step, counted from 0.");
  py::class_<optim::Ema, std::shared_ptr<optim::Ema>>(
      m, "EMA", "Exponential moving average of a module's weights.")
      .def(py::init([](const py::object& self, double decay, bool warmup) {
             auto& module = self.cast<nn::Module&>();
             return owning<optim::Ema>(self, nn::parameters(module), nn::buffers(module),
                                       optim::EmaOptions{decay, warmup});
           }),
           py::arg("module"), py::arg("decay") = 0.9999, py::arg("warmup") = true)
      .def("update", &optim::Ema::update, py::arg("step"), Released(), "After step `step`, from 1.")
      .def("swap", &optim::Ema::swap,
           "Exchanges averages and values: before evaluation, and after it.");
}

}  // namespace exciton::python
