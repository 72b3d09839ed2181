/// Trained models: load, evaluate, predict, inspect, export.
#include "exciton/train/evaluate.hpp"
#include "exciton/train/export.hpp"
#include "exciton/train/import.hpp"
#include "exciton/train/inspect/inspection.hpp"
#include "exciton/train/predict.hpp"
#include "exciton/train/run_data.hpp"
#include "exciton/train/trained_model.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

using Trained = std::shared_ptr<train::TrainedModel>;
using Held = std::shared_ptr<data::Dataset>;

/// Tells by Python's warnings.
void warn(const std::string& text) {
  const py::gil_scoped_acquire lock;
  if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1) != 0) throw py::error_already_set();
}

std::shared_ptr<nn::Module> module_of(const Trained& t) { return {t, t->model.net.get()}; }

/// A data set, a folder, or None: the run's own images.
std::shared_ptr<const data::Dataset> images_of(const train::TrainedModel& t, const py::object& from,
                                               const std::string& split) {
  if (py::isinstance<data::Dataset>(from)) {
    auto set = from.cast<Held>();
    train::check_fits(t, *set);
    return set;
  }
  const std::string dir = from.is_none() ? "" : py::str(from).cast<std::string>();
  const py::gil_scoped_release unlocked;
  return train::open_data_of(t, {.data = dir, .kind = dir.empty() ? "" : "auto", .split = split});
}

train::Evaluation evaluated(const Trained& t, const py::object& from, const std::string& split,
                            std::int64_t batch) {
  const auto set = images_of(*t, from, split);
  const py::gil_scoped_release unlocked;
  data::Loader loader = train::evaluation_loader(*t, set, {.batch = batch});
  return train::evaluate(*t->model.net, loader, set->classes(), [](std::int64_t) {
    stop_on_signals();
    return true;
  });
}

data::Image view_of_array(const train::TrainedModel& t, const py::array& pixels) {
  check(py::isinstance<py::array_t<std::uint8_t>>(pixels) &&
            (pixels.ndim() == 2 || pixels.ndim() == 3),
        "predict: expected a file, or an array of uint8, [H, W, C] or [H, W]");
  const py::array_t<std::uint8_t, py::array::c_style> row_major = pixels;
  data::Image image{.height = row_major.shape(0),
                    .width = row_major.shape(1),
                    .channels = row_major.ndim() == 3 ? row_major.shape(2) : 1};
  image.pixels.assign(row_major.data(), row_major.data() + row_major.size());
  check(image.channels == t.preprocessing.channels, "predict: the image has ", image.channels,
        " channels, the model expects ", t.preprocessing.channels);
  data::Image out;
  const auto wanted = [&](data::Size size) { return t.preprocessing.view(size); };
  data::view_of(image, "the image", wanted, out);
  return out;
}

std::vector<train::Prediction> predicted(const Trained& t, const py::object& image,
                                         std::size_t count) {
  if (py::isinstance<py::array>(image)) {
    const data::Image view = view_of_array(*t, py::array(image));
    const py::gil_scoped_release unlocked;
    return train::predict(*t, view, count);
  }
  const auto file = image.cast<std::filesystem::path>();
  const py::gil_scoped_release unlocked;
  return train::predict(*t, file, count);
}

train::Inspection inspected(const Trained& t, const py::object& from, const std::string& split,
                            std::int64_t importance_images) {
  const auto set = images_of(*t, from, split);
  train::InspectionOptions options;
  options.importance_images = importance_images;
  options.progress = [](const std::string&, std::int64_t, std::int64_t) { stop_on_signals(); };
  const py::gil_scoped_release unlocked;
  return train::inspect(*t, set, options);
}

/// f(class, channel) as an array [classes, C].
template <class F>
py::array table(std::int64_t classes, const train::UnitStats& u, F&& f) {
  py::array_t<double> out({classes, u.channels()});
  for (std::int64_t k = 0; k < classes; ++k)
    for (std::int64_t c = 0; c < u.channels(); ++c) out.mutable_at(k, c) = f(k, c);
  return out;
}

void bind_inspection(py::module_& m) {
  using train::UnitStats;
  py::class_<UnitStats>(m, "UnitStats", "What the gates of one unit do over many images.")
      .def_property_readonly("name", &UnitStats::name)
      .def_property_readonly("channels", &UnitStats::channels)
      .def_property_readonly("images", [](const UnitStats& u) { return u.images(); })
      .def_property_readonly(
          "mean",
          [](const UnitStats& u) {
            py::array_t<double> out(u.channels());
            for (std::int64_t c = 0; c < u.channels(); ++c) out.mutable_at(c) = u.mean(c);
            return out;
          },
          "[C], over all images.")
      .def_property_readonly(
          "deviation",
          [](const UnitStats& u) {
            py::array_t<double> out(u.channels());
            for (std::int64_t c = 0; c < u.channels(); ++c) out.mutable_at(c) = u.deviation(c);
            return out;
          },
          "[C], of the population.")
      .def(
          "class_means",
          [](const UnitStats& u, std::int64_t classes) {
            return table(classes, u, [&](auto k, auto c) { return u.mean(k, c); });
          },
          py::arg("classes"), "[classes, C]: figure 6 of the paper.")
      .def(
          "class_deviations",
          [](const UnitStats& u, std::int64_t classes) {
            return table(classes, u, [&](auto k, auto c) { return u.deviation(k, c); });
          },
          py::arg("classes"), "[classes, C]: figure 7 of the paper.")
      .def_property_readonly("class_share", &UnitStats::class_share,
                             "Share of the variance that lies between classes.")
      .def_property_readonly("histogram", &UnitStats::histogram)
      .def_property_readonly("counts", [](const UnitStats& u) {
        const train::GateCounts c = u.counts();
        py::dict out;
        out["channels"] = c.channels;
        out["dead"] = c.dead;
        out["saturated"] = c.saturated;
        out["stuck"] = c.stuck;
        return out;
      });
  py::class_<train::Importance>(m, "Importance", "How much one unit, or several together, matter.")
      .def_readonly("name", &train::Importance::name)
      .def_readonly("parameters", &train::Importance::parameters)
      .def_readonly("multiply_adds", &train::Importance::multiply_adds)
      .def_property_readonly(
          "differences",
          [](const train::Importance& i) {
            std::map<std::string, std::pair<double, double>> out;
            for (const auto& r : i.replacements) out[r.by] = {r.difference, r.error};
            return out;
          },
          "{\"one\": (difference of top-1, its standard error), \"mean\": ..., \"zero\": ...}");
  py::class_<train::Inspection>(
      m, "Inspection", "What inspect() found: the gates of every unit, and what each is worth.")
      .def_readonly("top1", &train::Inspection::top1)
      .def_readonly("loss", &train::Inspection::loss)
      .def_readonly("images", &train::Inspection::images)
      .def_property_readonly("units", [](const train::Inspection& i) { return i.stats.units(); })
      .def_readonly("importance", &train::Inspection::units)
      .def_readonly("groups", &train::Inspection::groups);
}

void bind_evaluation(py::module_& m) {
  using train::Evaluation;
  py::class_<Evaluation>(m, "Evaluation", "Accuracy and loss on a data set; shares are fractions.")
      .def_property_readonly("images", &Evaluation::images)
      .def_property_readonly("skipped", &Evaluation::skipped)
      .def_property_readonly("loss", &Evaluation::loss)
      .def_property_readonly("top1", &Evaluation::top1)
      .def_property_readonly("top5", &Evaluation::top5)
      .def_property_readonly("macro_recall", &Evaluation::macro_recall)
      .def_property_readonly(
          "recall",
          [](const Evaluation& e) {
            std::vector<double> out;
            for (const auto& c : e.classes()) out.push_back(c.recall());
            return out;
          },
          "Of each class.")
      .def(
          "confusion",
          [](const Evaluation& e) {
            const auto n = std::ssize(e.classes());
            py::array_t<std::int64_t> out({n, n});
            for (std::int64_t i = 0; i < n; ++i)
              for (std::int64_t k = 0; k < n; ++k) out.mutable_at(i, k) = e.confused(i, k);
            return out;
          },
          "[classes, classes]: images of a class (row) by what they were taken for.")
      .def("__repr__", [](const Evaluation& e) {
        return "top-1 " + std::to_string(100 * e.top1()) + " % of " + std::to_string(e.images()) +
               " images";
      });
  py::class_<train::Prediction>(m, "Prediction", "A class and its probability.")
      .def_readonly("name", &train::Prediction::name)
      .def_readonly("probability", &train::Prediction::probability)
      .def("__iter__",
           [](const train::Prediction& p) {
             return py::iter(py::make_tuple(p.name, p.probability));
           })
      .def("__repr__",
           [](const train::Prediction& p) { return p.name + " " + std::to_string(p.probability); });
}

}  // namespace

void bind_trained(py::module_& m) {
  using train::TrainedModel;
  bind_evaluation(m);
  bind_inspection(m);
  py::class_<TrainedModel, Trained>(m, "TrainedModel",
                                    "A trained model and what it must know of its images.")
      .def_property_readonly("model", &module_of, "A Module in evaluation mode.")
      .def_property_readonly("name", [](const TrainedModel& t) { return t.model.name; })
      .def_property_readonly("checkpoint",
                             [](const TrainedModel& t) { return t.checkpoint.string(); })
      .def_readonly("recipe", &TrainedModel::recipe)
      .def_property_readonly("epoch", [](const TrainedModel& t) { return t.position.epoch; })
      .def_property_readonly("class_names",
                             [](const TrainedModel& t) { return t.preprocessing.class_names; })
      .def_property_readonly("image_size",
                             [](const TrainedModel& t) { return t.preprocessing.image_size; })
      .def_property_readonly("channels",
                             [](const TrainedModel& t) { return t.preprocessing.channels; })
      .def_property_readonly("mean", [](const TrainedModel& t) { return t.preprocessing.mean; })
      .def_property_readonly("std", [](const TrainedModel& t) { return t.preprocessing.std; })
      .def(
          "open_data",
          [](const Trained& t, const std::string& split) {
            return std::const_pointer_cast<data::Dataset>(images_of(*t, py::none(), split));
          },
          py::arg("split") = "test", "The run's own images: \"train\", \"val\" or \"test\".")
      .def(
          "loader_augment", [](const TrainedModel& t) { return t.preprocessing.evaluation(); },
          "How images become its input: for DataLoader(augment=...).");
  m.def(
      "load",
      [](const std::filesystem::path& path) {
        return std::make_shared<TrainedModel>(train::load(path, warn));
      },
      py::arg("run_or_checkpoint"), Released(),
      "A trained model, in evaluation mode: that of a run folder's best checkpoint, or newest.");
  m.def("evaluate", &evaluated, py::arg("trained"), py::arg("data") = py::none(),
        py::arg("split") = "test", py::arg("batch_size") = 0,
        "Accuracy on a data set, a folder, or the run's own images.");
  m.def("predict", &predicted, py::arg("trained"), py::arg("image"), py::arg("top") = 5,
        "The classes of highest probability, of a file or an array of uint8 [H, W, C].");
  m.def("inspect", &inspected, py::arg("trained"), py::arg("data") = py::none(),
        py::arg("split") = "test", py::arg("importance_images") = 1000,
        "What the gates do over a data set, and how much each unit matters.");
  m.def(
      "_export",
      [](const std::filesystem::path& run, const std::filesystem::path& out, const std::string& to,
         const std::string& dtype, bool fold, const std::string& input, const std::string& images) {
        const train::Exported done = train::export_run(
            run, out, {.to = to, .dtype = dtype, .fold = fold, .input = input, .data = images},
            warn);
        return done.proof.text();
      },
      py::arg("run"), py::arg("out"), py::arg("to"), py::arg("dtype"), py::arg("fold"),
      py::arg("input"), py::arg("data"), Released(), "For exciton.export.");
  m.def(
      "import_weights",
      [](const std::filesystem::path& file, const std::filesystem::path& run,
         const std::string& model, const std::string& from,
         const std::vector<std::string>& class_names) {
        const train::Imported imported =
            train::import_weights(file, {.model = model, .from = from, .class_names = class_names});
        train::write_run(run, imported);
        return imported.source;
      },
      py::arg("file"), py::arg("run"), py::arg("model") = "", py::arg("source") = "",
      py::arg("class_names") = std::vector<std::string>(), Released(),
      "Weights of PyTorch, timm, safetensors or NumPy as a run folder. Returns the source that "
      "fits.");
}

}  // namespace exciton::python
