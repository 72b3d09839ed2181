/// Recipes, train(), its observer, and the loop for who brings their own data.
#include "exciton/data/splits.hpp"
#include "exciton/train/first_recipe.hpp"
#include "exciton/train/loop.hpp"
#include "exciton/train/run.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

using train::Recipe;

/// A recipe, its text, a file, or a dictionary.
Recipe recipe_from(py::handle value) {
  if (py::isinstance<Recipe>(value)) return value.cast<const Recipe&>();
  if (py::isinstance<py::dict>(value))
    return Recipe::parse(py::module_::import("json").attr("dumps")(value).cast<std::string>());
  const auto text = py::str(value).cast<std::string>();
  return text.find('{') != std::string::npos ? Recipe::parse(text) : Recipe::read(text);
}

/// What Python derives from.
struct PythonObserver final : train::Observer {
  void started(const train::RunInfo& info) override {
    PYBIND11_OVERRIDE(void, train::Observer, started, info);
  }
  bool step(const train::Progress& now) override {
    const py::gil_scoped_acquire lock;
    const py::function method = py::get_override(static_cast<const train::Observer*>(this), "step");
    if (!method) return true;
    const py::object answer = method(now);
    return answer.is_none() || answer.cast<bool>();
  }
  void epoch(const train::EpochLine& line) override {
    PYBIND11_OVERRIDE(void, train::Observer, epoch, line);
  }
  void warning(std::string_view text) override {
    PYBIND11_OVERRIDE(void, train::Observer, warning, text);
  }
};

/// Between the run and a person's observer: stops the run, after a checkpoint, when that throws or
/// a signal comes.
class Guard final : public train::Observer {
 public:
  explicit Guard(train::Observer& inner) : inner_(inner) {}

  void started(const train::RunInfo& info) override {
    guarded([&] { inner_.started(info); });
  }
  bool step(const train::Progress& now) override {
    bool go_on = true;
    guarded([&] {
      stop_on_signals();
      go_on = inner_.step(now);
    });
    return go_on && !thrown_;
  }
  void epoch(const train::EpochLine& line) override {
    guarded([&] { inner_.epoch(line); });
  }
  void warning(std::string_view text) override {
    guarded([&] { inner_.warning(text); });
  }
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  template <class F>
  void guarded(F&& f) {
    if (thrown_) return;
    try {
      f();
    } catch (...) {
      thrown_ = std::current_exception();  // told when the run has stopped: rethrow()
    }
  }

  train::Observer& inner_;
  std::exception_ptr thrown_;
};

train::Outcome run(const py::object& recipe, train::Observer* observer,
                   const std::filesystem::path& out, bool resume, bool fit, bool change,
                   bool tensorboard) {
  Recipe what = recipe_from(recipe);
  train::Observer nobody;
  Guard guard(observer ? *observer : nobody);
  const py::gil_scoped_release unlocked;
  train::Outcome outcome = train::run(
      std::move(what),
      {.out = out, .resume = resume, .fit = fit, .change = change, .tensorboard = tensorboard},
      guard);
  guard.rethrow();
  return outcome;
}

void bind_recipe(py::module_& m) {
  py::class_<Recipe>(m, "Recipe", "What a run is, complete and checked.")
      .def(
          py::init(&recipe_from), py::arg("recipe"),
          "Of a dictionary, a JSON text or a file. Errors: an unknown key, with the nearest known; "
          "a wrong type; an impossible value.")
      .def("text", &Recipe::text, "Every key, defaults included, as JSON.")
      .def("__repr__", &Recipe::text)
      .def("with_values", &Recipe::with, py::arg("assignments"),
           "With values set: [\"schedule.lr=0.1\"].");
  m.def(
      "first_recipe",
      [](const std::filesystem::path& dir) {
        const data::SplitPlan plan = data::plan_splits(data::find_layout("auto", dir), {}, 1);
        Recipe recipe = train::first_recipe(*plan.open(data::Part::train));
        recipe.data.dir = dir.string();
        return recipe;
      },
      py::arg("dir"), Released(), "Sensible choices for the images in a folder, to begin with.");
}

void bind_observer(py::module_& m) {
  using train::EpochLine;
  using train::RunInfo;
  using Progress = train::Progress;
  py::class_<RunInfo>(m, "RunInfo", "What a run is about to do.")
      .def_property_readonly("folder", [](const RunInfo& i) { return i.folder.string(); })
      .def_readonly("model", &RunInfo::model)
      .def_property_readonly("dtype",
                             [](const RunInfo& i) { return std::string(name_of(i.dtype)); })
      .def_readonly("parameters", &RunInfo::parameters)
      .def_readonly("threads", &RunInfo::threads)
      .def_readonly("batch", &RunInfo::batch)
      .def_readonly("epochs", &RunInfo::epochs)
      .def_readonly("steps_per_epoch", &RunInfo::steps_per_epoch)
      .def_readonly("first_step", &RunInfo::first_step)
      .def_readonly("seed", &RunInfo::seed)
      .def_readonly("notes", &RunInfo::notes);
  py::class_<Progress>(m, "StepProgress", "Where a run is.")
      .def_property_readonly("testing",
                             [](const Progress& p) { return p.phase == Progress::Phase::testing; })
      .def_readonly("step", &Progress::step)
      .def_readonly("steps", &Progress::steps)
      .def_readonly("epoch", &Progress::epoch)
      .def_readonly("epochs", &Progress::epochs)
      .def_readonly("tested", &Progress::tested)
      .def_readonly("loss", &Progress::loss, "Mean over the epoch so far.")
      .def_readonly("top1", &Progress::top1, "A fraction.")
      .def_readonly("images_per_second", &Progress::images_per_second)
      .def_readonly("lr", &Progress::lr, "Of the last step.");
  py::class_<EpochLine>(m, "EpochLine", "An epoch that is done.")
      .def_readonly("epoch", &EpochLine::epoch)
      .def_readonly("epochs", &EpochLine::epochs)
      .def_readonly("train_loss", &EpochLine::train_loss)
      .def_readonly("train_top1", &EpochLine::train_top1)
      .def_readonly("measured_on", &EpochLine::measured_on)
      .def_readonly("loss", &EpochLine::loss)
      .def_readonly("top1", &EpochLine::top1)
      .def_readonly("top5", &EpochLine::top5)
      .def_readonly("best", &EpochLine::best)
      .def_readonly("lr", &EpochLine::lr)
      .def_readonly("images_per_second", &EpochLine::images_per_second)
      .def_readonly("seconds", &EpochLine::seconds)
      .def_readonly("test_seconds", &EpochLine::test_seconds);
  py::class_<train::Observer, PythonObserver>(
      m, "Observer", "Is told what a run does. Derive from it and define what you want to know.")
      .def(py::init<>())
      .def("started", &train::Observer::started, py::arg("info"))
      .def("step", &train::Observer::step, py::arg("progress"),
           "After each step. False: stop, after a checkpoint.")
      .def("epoch", &train::Observer::epoch, py::arg("line"))
      .def("warning", &train::Observer::warning, py::arg("text"));
}

void bind_run(py::module_& m) {
  using train::Outcome;
  py::class_<Outcome>(m, "Outcome", "How a run ended.")
      .def_readonly("finished", &Outcome::finished)
      .def_property_readonly("folder", [](const Outcome& o) { return o.folder.string(); })
      .def_property_readonly("checkpoint", [](const Outcome& o) { return o.checkpoint.string(); })
      .def_readonly("epochs", &Outcome::epochs)
      .def_readonly("seconds", &Outcome::seconds)
      .def_readonly("measured_on", &Outcome::measured_on)
      .def_property_readonly(
          "top1",
          [](const Outcome& o) { return o.last ? std::optional(o.last->top1()) : std::nullopt; },
          "After the last epoch, a fraction; None when nothing was left to train.")
      .def_property_readonly("loss", [](const Outcome& o) {
        return o.last ? std::optional(o.last->loss()) : std::nullopt;
      });
  m.def("_run", &run, py::arg("recipe"), py::arg("observer"), py::arg("out"), py::arg("resume"),
        py::arg("fit"), py::arg("change"), py::arg("tensorboard"), "For exciton.train.");
}

void bind_loop(py::module_& m) {
  using train::Loop;
  using train::StepResult;
  py::class_<StepResult>(m, "StepResult",
                         "What a step gave; `loss` is the mean over the batch, before the update.")
      .def_readonly("loss", &StepResult::loss)
      .def_readonly("gradient_norm", &StepResult::gradient_norm)
      .def_readonly("skipped", &StepResult::skipped)
      .def_readonly("correct", &StepResult::correct)
      .def_readonly("images", &StepResult::images);
  py::class_<Loop>(m, "Loop", "The training step: forward, loss, backward, update.")
      .def(
          py::init([](nn::Module& net, optim::Optimizer& optimizer, const optim::Schedule& schedule,
                      double label_smoothing, double clip_norm, double clip_value) {
            return std::make_unique<Loop>(net, optimizer, schedule,
                                          train::LoopOptions{.label_smoothing = label_smoothing,
                                                             .clip_norm = clip_norm,
                                                             .clip_value = clip_value});
          }),
          py::arg("module"), py::arg("optimizer"), py::arg("schedule"),
          py::arg("label_smoothing") = 0.0, py::arg("clip_norm") = 0.0, py::arg("clip_value") = 0.0,
          py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
      .def(
          "step", [](Loop& loop, const data::Batch& batch) { return loop.step(batch); },
          py::arg("batch"), Released(), "Errors: a loss that is no number (NotFinite).")
      .def_property_readonly("steps", &Loop::steps)
      .def_property_readonly("lr", &Loop::lr);
}

}  // namespace

void bind_train(py::module_& m) {
  bind_recipe(m);
  bind_observer(m);
  bind_run(m);
  bind_loop(m);
}

}  // namespace exciton::python
