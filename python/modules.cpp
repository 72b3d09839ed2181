/// Module, units of one's own, forward hooks, gates, and models by name.
#include <algorithm>
#include <map>

#include "exciton/nn/attention.hpp"
#include "exciton/nn/gates.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/recipe.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

using SharedModule = std::shared_ptr<nn::Module>;

/// Collects the objects of Python's that a module is made of.
struct Keeper final : nn::Visitor {
  py::list kept;
};

/// What keeps all that a module is made of now, also when another takes the place of a part.
struct Owners {
  SharedModule root;
  Kept parts;
};
std::shared_ptr<const Owners> owners_of(const SharedModule& root) {
  Keeper keeper;
  keeper.walk(*root);
  return std::make_shared<const Owners>(Owners{root, Kept(keeper.kept)});
}

/// Whatever a Python module has as an attribute and C++ knows: parameters, modules (also in lists),
/// and the tensors of register_buffer, in the order in which they were set.
void visit_attributes(py::handle self, nn::Visitor& v) {
  auto* const keeper = dynamic_cast<Keeper*>(&v);
  const auto one = [&](const std::string& name, py::handle value) {
    if (keeper && (py::isinstance<Parameter>(value) || py::isinstance<nn::Module>(value)))
      keeper->kept.append(value);
    if (py::isinstance<Parameter>(value)) {
      auto& p = value.cast<Parameter&>();
      v(name, p, p.role);
    } else if (py::isinstance<nn::Module>(value)) {
      v(name, value.cast<nn::Module&>());
    }
  };
  const auto buffers = py::getattr(self, "_buffers", py::tuple());
  for (const auto& [key, value] : py::dict(self.attr("__dict__"))) {
    const std::string name = py::str(key);
    if (py::isinstance<py::list>(value) || py::isinstance<py::tuple>(value)) {
      std::size_t i = 0;
      for (py::handle child : value) one(name + '.' + std::to_string(i++), child);
    } else if (py::isinstance<Tensor>(value) && buffers.contains(key)) {
      v(name, value.cast<Tensor&>());
    } else {
      one(name, value);
    }
  }
}

/// The method of a Python class that stands for a virtual one. Errors: it has none.
template <class Base>
py::function method_of(const Base* self, const char* name) {
  py::function found = py::get_override(self, name);
  if (!found)
    throw py::type_error(std::string("a module of one's own must define ") + name + "(self, x)");
  return found;
}

/// The object of Python's that a C++ base is part of.
template <class Base>
py::object object_of(const Base* self) {
  return py::cast(self, py::return_value_policy::reference);
}

/// What Module and ChannelAttention have in common when Python derives from them.
template <class Base>
class Derived : public Base {
 public:
  std::string_view kind() const override {
    const py::gil_scoped_acquire lock;
    if (kind_.empty())
      kind_ = py::str(py::type::of(object_of<Base>(this)).attr("__name__")).cast<std::string>();
    return kind_;
  }
  void visit(nn::Visitor& v) override {
    const py::gil_scoped_acquire lock;
    visit_attributes(object_of<Base>(this), v);
  }

 protected:
  Var call(const char* method, const Var& x) {
    const py::gil_scoped_acquire lock;
    return input_from(method_of<Base>(this, method)(x)).var;
  }

 private:
  mutable std::string kind_;
};

struct PythonModule final : Derived<nn::Module> {
 protected:
  Var forward(const Var& x) override { return call("forward", x); }
};

struct PythonAttention final : Derived<nn::ChannelAttention> {
  Var gates(const Var& x) override { return call("gates", x); }
};

/// Stands in a C++ network for an object of Python's, which it keeps.
struct Holds {
  virtual ~Holds() = default;
  virtual const nn::Module* inner() const = 0;
};

template <class Base>
class HeldBase : public Base, public Holds {
 public:
  explicit HeldBase(const py::object& object) : kept_(object), held_(object.cast<Base&>()) {}
  std::string_view kind() const override { return held_.kind(); }
  void visit(nn::Visitor& v) override { held_.visit(v); }
  const nn::Module* inner() const override { return &held_; }

 protected:
  Base& held() {
    held_.training = this->training;
    held_.fused = this->fused;
    return held_;
  }

 private:
  Kept kept_;
  Base& held_;
};

struct HeldAttention final : HeldBase<nn::ChannelAttention> {
  using HeldBase::HeldBase;
  Var gates(const Var& x) override { return held().gates(x); }
};

struct HeldModule final : HeldBase<nn::Module> {
  using HeldBase::HeldBase;

 protected:
  Var forward(const Var& x) override { return held()(x); }
};

// -- Hooks

/// What a place calls: functions of Python's, in the order in which they were registered. What one
/// returns goes on, unless it is None.
struct Hooks {
  std::map<int, Kept> functions;
  int next = 0;
};

/// A module's forward hook.
struct HookCaller {
  std::shared_ptr<Hooks> hooks;
  std::weak_ptr<nn::Module> module;

  Var operator()(const Var& x, Var y) const {
    const py::gil_scoped_acquire lock;
    const std::map<int, Kept> now = hooks->functions;  // one may remove itself
    for (const auto& [id, function] : now) {
      const py::object result = function.get()(module.lock(), x, y);
      if (!result.is_none()) y = input_from(result).var;
    }
    return y;
  }
};

struct HookHandle {
  std::shared_ptr<Hooks> hooks;
  std::weak_ptr<nn::Module> module;
  int id;

  void remove() {
    hooks->functions.erase(id);
    const SharedModule there = module.lock();
    if (there && hooks->functions.empty()) there->forward_hook = nullptr;
  }
};

HookHandle add_hook(const SharedModule& module, const py::function& hook) {
  if (const auto* caller = module->forward_hook.target<HookCaller>(); caller == nullptr) {
    check(!module->forward_hook, "register_forward_hook: the module has a hook of C++");
    module->forward_hook = HookCaller{std::make_shared<Hooks>(), module};
  }
  const std::shared_ptr<Hooks> hooks = module->forward_hook.target<HookCaller>()->hooks;
  hooks->functions.emplace(hooks->next, Kept(hook));
  return {hooks, module, hooks->next++};
}

// -- Gates

class Recorder {
 public:
  explicit Recorder(SharedModule net) : net_(std::move(net)) {}
  void enter() {
    check(recorder_ == nullptr, "record_gates: it records already, in a block around this one");
    owners_ = owners_of(net_);
    recorder_ = std::make_unique<nn::GateRecorder>(*net_);
  }
  void leave() {
    if (recorder_ != nullptr) last_ = gates();
    recorder_.reset();
    owners_.reset();
  }
  py::dict gates() const {
    if (!recorder_) return last_;
    py::dict out;
    for (std::size_t i = 0; i < recorder_->units().size(); ++i)
      if (recorder_->ran(i))
        out[py::str(recorder_->units()[i].name)] = py::cast(recorder_->gates(i));
    return out;
  }

 private:
  SharedModule net_;
  std::shared_ptr<const Owners> owners_;  // of the units, also when others take their places
  std::unique_ptr<nn::GateRecorder> recorder_;
  py::dict last_;
};

/// Constant gates in the place of some units', within a block.
class Replaced {
 public:
  Replaced(SharedModule net, std::map<std::string, Tensor> values)
      : net_(std::move(net)), values_(std::move(values)) {}
  void enter() {
    check(scopes_.empty(), "replace_gates: it is in use already, in a block around this one");
    owners_ = owners_of(net_);
    const std::vector<nn::NamedAttention> units = nn::attention_units(*net_);
    std::vector<std::string> known;
    for (const auto& [name, unit] : units) known.push_back(name);
    for (const auto& [name, gates] : values_)  // all of them before the first is replaced
      check(std::ranges::find(units, name, &nn::NamedAttention::name) != units.end(),
            "gates: no unit \"", name, "\"; the network has ", listed(known));
    for (const auto& [name, gates] : values_) {
      const auto unit = std::ranges::find(units, name, &nn::NamedAttention::name);
      scopes_.push_back(
          std::make_unique<nn::HookScope>(unit->unit->hook, nn::constant_gates(gates)));
    }
  }
  void leave() {
    scopes_.clear();
    owners_.reset();
  }

 private:
  SharedModule net_;
  std::map<std::string, Tensor> values_;
  std::shared_ptr<const Owners> owners_;
  std::vector<std::unique_ptr<nn::HookScope>> scopes_;
};

// -- Module's methods

struct ModuleVisitor final : nn::Visitor {
  std::vector<std::pair<std::string, nn::Module*>> found;
  void enter(const std::string& name, nn::Module& m) override { found.emplace_back(name, &m); }
};

std::vector<std::pair<std::string, SharedModule>> named_modules(const SharedModule& root) {
  ModuleVisitor v;
  v.walk(*root);
  std::vector<std::pair<std::string, SharedModule>> out;
  const auto owners = owners_of(root);
  for (const auto& [name, module] : v.found)
    out.emplace_back(name, module == root.get() ? root : SharedModule(owners, module));
  return out;
}

SharedModule submodule(const SharedModule& root, const std::string& name) {
  for (auto& [known, module] : named_modules(root))
    if (known == name) return module;
  fail("module: there is no module \"", name, "\" in it; named_modules() lists them");
}

py::dict state_of(nn::Module& module) {
  py::dict out;
  for (const auto& [name, p] : nn::parameters(module))
    out[py::str(name)] = py::cast(ReadOnlyTensor(p->value()));
  for (const auto& [name, t] : nn::buffers(module)) out[py::str(name)] = py::cast(*t);
  return out;
}

/// Through a checkpoint, so that what is missing or does not fit is told as there.
void load_state(nn::Module& module, const std::map<std::string, Input>& state) {
  train::Checkpoint checkpoint;
  for (const auto& [name, value] : state)
    checkpoint.tensors.push_back({"model." + name, value.var.value()});
  train::load_model(checkpoint, module, "load_state_dict");
}

void bind_hooks(py::module_& m) {
  py::class_<HookHandle>(m, "HookHandle",
                         "Takes a forward hook away: by remove(), or at the end of "
                         "a `with` block.")
      .def("remove", &HookHandle::remove)
      .def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](HookHandle& h, const py::args&) { h.remove(); });
}

void bind_gates(py::module_& m) {
  py::class_<Recorder>(m, "record_gates",
                       "Within the block the gates of every unit of the network are kept, at no "
                       "cost to its path:\n\n"
                       "    with exciton.record_gates(model) as recorder:\n"
                       "        model(images)\n"
                       "    recorder.gates[\"stage1.0.se\"]      # [N, C]")
      .def(py::init<SharedModule>(), py::arg("module"), py::keep_alive<1, 2>())
      .def("__enter__",
           [](const py::object& self) {
             self.cast<Recorder&>().enter();
             return self;
           })
      .def("__exit__", [](Recorder& r, const py::args&) { r.leave(); })
      .def_property_readonly("gates", &Recorder::gates,
                             "By unit, of the newest forward pass: f32 [N, C].");
  py::class_<Replaced>(m, "replace_gates",
                       "Within the block some units have constant gates: {\"stage3.0.se\": [C]}. "
                       "All 1 is as if the unit were not there.")
      .def(py::init([](SharedModule net, const std::map<std::string, Input>& values) {
             std::map<std::string, Tensor> tensors;
             for (const auto& [name, value] : values) tensors[name] = value.var.value();
             return std::make_unique<Replaced>(std::move(net), std::move(tensors));
           }),
           py::arg("module"), py::arg("gates"), py::keep_alive<1, 2>())
      .def("__enter__", &Replaced::enter)
      .def("__exit__", [](Replaced& r, const py::args&) { r.leave(); });
}

void bind_registries(py::module_& m) {
  m.def(
      "_make_model",
      [](const std::string& recipe, std::int64_t image_channels, std::uint64_t seed) {
        train::Recipe parsed = train::Recipe::parse(recipe, train::Recipe::Source::given, "model");
        parsed.model.options.image_channels = image_channels;
        nn::Model made = nn::make_model(parsed.model.name, parsed.model.options, seed);
        return std::make_pair(SharedModule(std::move(made.net)), made.image_size);
      },
      py::arg("recipe"), py::arg("image_channels"), py::arg("seed"), "For exciton.models.make.");
  m.def(
      "_model_names",
      [] {
        std::vector<std::string> names;
        for (const nn::Registry::Entry& e : nn::model_registry().entries()) names.push_back(e.name);
        return names;
      },
      "For exciton.models.names.");
  m.def(
      "register_attention",
      [](const std::string& name, const py::function& make) {
        nn::attention_registry().add(
            name,
            [make = Kept(make)](std::int64_t channels, const nn::SESpec& spec,
                                Generator& init) -> std::unique_ptr<nn::ChannelAttention> {
              const py::gil_scoped_acquire lock;
              const py::object unit =
                  make.get()(channels, spec, py::cast(&init, py::return_value_policy::reference));
              if (!py::isinstance<nn::ChannelAttention>(unit))
                throw py::type_error("register_attention: expected a nn.ChannelAttention, got " +
                                     py::repr(unit).cast<std::string>());
              return std::make_unique<HeldAttention>(unit);
            });
      },
      py::arg("name"), py::arg("make"),
      "Lets recipes and models.make name a unit of one's own, se={\"kind\": name}: "
      "make(channels, spec, generator) returns a nn.ChannelAttention. The generator is the "
      "model's, "
      "and to be used at once. Errors: the name is taken.");
  m.def(
      "register_model",
      [](const std::string& name, const py::function& make, std::int64_t image_size,
         std::int64_t classes) {
        nn::model_registry().add(
            {.name = name,
             .image_size = image_size,
             .classes = classes,
             .se = false,
             .make = [make = Kept(make)](const nn::ModelOptions& options,
                                         Generator& init) -> std::unique_ptr<nn::Module> {
               const py::gil_scoped_acquire lock;
               const py::object net =
                   make.get()(options.classes, options.image_channels,
                              py::cast(&init, py::return_value_policy::reference));
               if (!py::isinstance<nn::Module>(net))
                 throw py::type_error("register_model: expected a nn.Module, got " +
                                      py::repr(net).cast<std::string>());
               return std::make_unique<HeldModule>(net);
             }});
      },
      py::arg("name"), py::arg("make"), py::arg("image_size") = 32, py::arg("classes") = 10,
      "Lets recipes and models.make name a model of one's own: make(classes, image_channels, "
      "generator) returns a nn.Module from images [N, H, W, C] to logits [N, classes].");
}

}  // namespace

void bind_modules(py::module_& m) {
  bind_hooks(m);
  py::class_<nn::Module, PythonModule, SharedModule>(
      m, "Module",
      "Something with parameters that maps a value to a value. Derive from it, call "
      "super().__init__(), keep parameters and modules as attributes, and define forward(self, x). "
      "Of the layers of this package, such as Conv2d, nothing derives: keep one as an attribute.")
      .def(py::init<>())
      .def(
          "__call__", [](nn::Module& module, const Input& x) { return module(x.var); },
          py::arg("x"), Released(), "Runs forward, and the hooks.")
      .def_property_readonly(
          "kind", [](const nn::Module& module) { return std::string(module.kind()); },
          "The class: \"Conv2d\".")
      .def(
          "named_parameters",
          [](const SharedModule& module) {
            std::vector<std::pair<std::string, std::shared_ptr<Parameter>>> out;
            const auto owners = owners_of(module);
            for (const auto& [name, p] : nn::parameters(*module))
              out.emplace_back(name, std::shared_ptr<Parameter>(owners, p));
            return out;
          },
          "[(\"stage1.0.conv1.weight\", Parameter), ...]")
      .def("parameters",
           [](const SharedModule& module) {
             std::vector<std::shared_ptr<Parameter>> out;
             const auto owners = owners_of(module);
             for (const auto& p : nn::parameters(*module))
               out.push_back(std::shared_ptr<Parameter>(owners, p.parameter));
             return out;
           })
      .def(
          "named_buffers",
          [](const SharedModule& module) {
            std::vector<std::pair<std::string, Tensor>> out;
            for (const auto& b : nn::buffers(*module)) out.emplace_back(b.name, *b.tensor);
            return out;
          },
          "What is saved and not trained: [(\"stem.bn.running_mean\", Tensor), ...]")
      .def("named_modules", &named_modules, "The module itself, \"\", and all below it.")
      .def("get_submodule", &submodule, py::arg("name"), "Errors: none of that name.")
      .def("num_parameters", [](nn::Module& module) { return nn::parameter_count(module); })
      .def(
          "train",
          [](const SharedModule& module, bool mode) {
            nn::set_training(*module, mode);
            return module;
          },
          py::arg("mode") = true, "Training mode: batch statistics, dropout.")
      .def(
          "eval",
          [](const SharedModule& module) {
            nn::set_training(*module, false);
            return module;
          },
          "Evaluation mode: running statistics, folded norms.")
      .def_property_readonly("training", [](const nn::Module& module) { return module.training; })
      .def(
          "set_fused", [](nn::Module& module, bool fused) { nn::set_fused(module, fused); },
          py::arg("fused"), "Fused operators, or their plain twins; both compute the same.")
      .def(
          "freeze",
          [](nn::Module& module, const std::vector<std::string>& names) {
            nn::freeze(module, names);
          },
          py::arg("names"),
          "Parameters whose name begins with one of these no longer train, norms below it neither.")
      .def(
          "to",
          [](const SharedModule& module, const py::object& dtype) {
            nn::convert(*module, dtype_from(dtype));
            return module;
          },
          py::arg("dtype"), "Converts parameters and buffers: \"f32\", or \"f64\" for gradcheck.")
      .def("zero_grad",
           [](nn::Module& module) {
             for (const auto& p : nn::parameters(module)) p.parameter->grad = Tensor();
           })
      .def(
          "state_dict", [](nn::Module& module) { return state_of(module); },
          "Parameters and buffers by name, over the module's own memory.")
      .def(
          "load_state_dict",
          [](nn::Module& module, const std::map<std::string, Input>& state) {
            load_state(module, state);
          },
          py::arg("state"),
          "Takes the values of such a dictionary. Errors: the first that is missing, left over or "
          "of another shape or type; nothing is changed then.")
      .def(
          "register_forward_hook", &add_hook, py::arg("hook"),
          "Calls hook(module, x, y) with what comes and goes; what it returns goes on in the place "
          "of y, unless it is None. A layer within a fused operator then runs by itself. A hook "
          "that refers to the module keeps it alive until it is removed.")
      .def("__repr__", [](nn::Module& module) {
        std::ostringstream out;
        out << module.kind() << " of " << nn::parameter_count(module) << " parameters";
        return out.str();
      });
  py::class_<nn::ChannelAttention, PythonAttention, nn::Module,
             std::shared_ptr<nn::ChannelAttention>>(
      m, "ChannelAttention",
      "A unit that reweights x [N, H, W, C] by gates [N, C]. Derive from it and define gates(self, "
      "x).")
      .def(py::init<>())
      .def("gates", &nn::ChannelAttention::gates, py::arg("x"), Released(),
           "x [N, H, W, C] -> [N, C].");
  py::class_<nn::SESpec>(m, "SESpec", "What a recipe chooses of SE.")
      .def(py::init<>())
      .def_readwrite("reduction", &nn::SESpec::reduction)
      .def_readwrite("min_width", &nn::SESpec::min_width)
      .def_readwrite("bias", &nn::SESpec::bias)
      .def_readwrite("squeeze", &nn::SESpec::squeeze)
      .def_readwrite("gate", &nn::SESpec::gate)
      .def_readwrite("placement", &nn::SESpec::placement)
      .def_readwrite("kind", &nn::SESpec::kind)
      .def("hidden", &nn::SESpec::hidden, py::arg("channels"), "Units of the hidden layer.");
  bind_gates(m);
  bind_registries(m);
}

}  // namespace exciton::python

const void* pybind11::polymorphic_type_hook<exciton::nn::Module>::get(
    const exciton::nn::Module* module, const std::type_info*& type) {
  namespace nn = exciton::nn;
  if (const auto* held = dynamic_cast<const exciton::python::Holds*>(module))
    module = held->inner();
  type = module ? &typeid(*module) : nullptr;
  if (module && detail::get_type_info(*type) == nullptr &&
      dynamic_cast<const nn::ChannelAttention*>(module) != nullptr)
    type = &typeid(nn::ChannelAttention);
  return dynamic_cast<const void*>(module);
}
