#include "exciton/train/export.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/data/splits.hpp"
#include "exciton/interop/npy.hpp"
#include "exciton/interop/onnx/interpreter.hpp"
#include "exciton/interop/onnx/record.hpp"
#include "exciton/interop/safetensors.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t compared_images = 8;
/// What rounding all weights to 8 bits may move logits by: several times what it does to 100
/// layers.
constexpr double bf16_tolerance = 0.05;

/// What the network is shown.
struct Shown {
  Tensor images;  ///< [N, H, W, C], normalised
  bool noise = false;
};

std::shared_ptr<const data::Dataset> images_of(const DataRecipe& recipe, const std::string& dir,
                                               std::uint64_t seed) {
  const data::DataLayout layout = data::find_layout(dir == recipe.dir ? recipe.kind : "auto", dir);
  if (layout.has("test") || layout.has("val"))
    return data::open_split(layout, layout.has("test") ? "test" : "val");
  const data::SplitPlan plan = data::plan_splits(layout, recipe.validation, seed);
  return plan.open(plan.reported);
}

Tensor first_images(const Recipe& recipe, const Preprocessing& pre,
                    const std::shared_ptr<const data::Dataset>& set, std::int64_t count) {
  check(set->channels() == pre.channels, "data: ", set->description(), " has ", set->channels(),
        " channels, the network expects ", pre.channels);
  check(set->size() >= count, "data: ", set->description(), ": expected at least ", count,
        " images");
  Recipe plain = recipe;
  plain.dtype = "f32";
  data::Loader loader = evaluation_loader(plain, pre, set, {.batch = count});
  const auto batch = loader.next();
  check(batch.has_value(), "data: ", set->description(), " has no images");
  return batch->images;
}

Shown shown_to(const TrainedModel& trained, const std::string& data,
               std::vector<std::string>& notes) {
  const Preprocessing& pre = trained.preprocessing;
  const std::string dir = data.empty() ? trained.recipe.data.dir : data;
  std::string why = "the run has no data of its own";
  if (!dir.empty()) {
    try {
      const auto set = images_of(trained.recipe.data, dir, trained.recipe.seed);
      return {first_images(trained.recipe, pre, set, std::min(compared_images, set->size()))};
    } catch (const Error& error) {
      if (!data.empty()) throw;
      why = error.what();
    }
  }
  notes.push_back("Compared on noise: " + why);
  Generator generator(1);
  return {Tensor::randn({compared_images, pre.image_size, pre.image_size, pre.channels}, generator),
          true};
}

/// Logits by the plain path in f32, image by image, so that what is between the layers is small.
Tensor plain_logits(nn::Module& net, const Tensor& images) {
  nn::set_training(net, false);
  nn::set_fused(net, false);
  nn::keep_packed_weights(net, false);
  const std::int64_t count = images.dim(0), pixels = images.numel() / count;
  Tensor out;
  for (std::int64_t i = 0; i < count; ++i) {
    Tensor one({1, images.dim(1), images.dim(2), images.dim(3)});
    std::copy_n(images.data<float>() + i * pixels, pixels, one.data<float>());
    const Tensor logits = net(Var(one)).value();
    if (out.empty()) out = Tensor({count, logits.dim(1)});
    std::copy_n(logits.data<float>(), logits.dim(1), out.data<float>() + i * logits.dim(1));
  }
  return out;
}

std::string json_text(const std::vector<double>& values) { return Json(values).dump(); }

std::map<std::string, std::string> metadata_of(const TrainedModel& trained,
                                               const std::string& names, bool noise) {
  const Preprocessing& pre = trained.preprocessing;
  const auto channels = static_cast<std::size_t>(pre.channels);
  std::vector<double> mean, std;
  for (std::size_t c = 0; c < channels; ++c) {
    mean.push_back(static_cast<double>(pre.mean[c]));
    std.push_back(static_cast<double>(pre.std[c]));
  }
  return {{"format", "pt"},
          {"exciton.model", trained.recipe.model.name},
          {"exciton.options", to_text(to_json(trained.recipe)["model"])},
          {"exciton.names", names},
          {"exciton.compared_on", noise ? "noise" : "images"},
          {"data_kind", trained.recipe.data.kind},
          {"image_size", std::to_string(pre.image_size)},
          {"mean", json_text(mean)},
          {"std", json_text(std)},
          {"class_names", to_text(Json(pre.class_names))}};
}

/// The names that `to` wants, if the network computes what that source's does.
interop::Source target_of(const TrainedModel& trained, const std::string& to) {
  nn::ModelOptions options = trained.model.options;
  if (to.empty() || to == "exciton") return interop::own_source(trained.recipe.model.name, options);
  interop::Source source = interop::source(to);
  check(source.model == trained.recipe.model.name, "export: ", to, " is the network ", source.model,
        ", the run's is ", trained.recipe.model.name);
  const std::string theirs = interop::options_text(source.options),
                    ours = interop::options_text(options);
  check(theirs == ours, "export: ", to, " computes with ", theirs.empty() ? "the defaults" : theirs,
        ", the run was trained with ", ours.empty() ? "the defaults" : ours,
        ": names and shapes may fit, the results would not");
  return source;
}

interop::TensorToWrite to_write(const interop::Item& item, interop::ElementType type) {
  return {item.theirs, type, item.shape,
          [&item](const auto& put) { interop::write_values(item, put); }};
}

void write_tensors(const fs::path& path, const TrainedModel& trained, const interop::Source& target,
                   bool bf16, bool noise, Exported& report) {
  const interop::Layout layout = interop::layout_of(*trained.model.net, target.naming);
  const auto type = bf16 ? interop::ElementType::bf16 : interop::ElementType::f32;
  std::vector<interop::TensorToWrite> tensors;
  for (const interop::Item& item : layout.items) tensors.push_back(to_write(item, type));
  for (const interop::AbsorbedBias& bias : layout.biases)
    tensors.push_back(
        {bias.theirs, type, {bias.running_mean->dim(0)}, [&bias](const auto& put) {
           put(std::vector<float>(static_cast<std::size_t>(bias.running_mean->dim(0))));
         }});
  report.tensors = std::ssize(tensors);
  interop::write_safetensors(path, std::move(tensors), metadata_of(trained, target.name, noise));
}

/// Logits by a network that is made anew from what was written.
Tensor logits_of_file(const fs::path& path, const std::string& name,
                      const nn::ModelOptions& options, const interop::Source& target,
                      const Tensor& images) {
  const auto file = interop::open_weights(path);
  nn::Model again = [&] {
    const nn::SkipInitialization values_are_stored;
    return nn::make_model(name, options);
  }();
  interop::load(interop::layout_of(*again.net, target.naming), *file, interop::clean_names(*file));
  return plain_logits(*again.net, images);
}

void write_onnx(const fs::path& path, const TrainedModel& trained, const ExportOptions& options,
                bool noise, Exported& report) {
  const Preprocessing& pre = trained.preprocessing;
  // Names are ours, but for the order of VGG's first fully connected layer, which reads [C, H, W]
  // there.
  const interop::Layout layout =
      interop::layout_of(*trained.model.net, interop::own_source("", {}).naming);
  interop::onnx::RecordOptions how{.height = pre.image_size,
                                   .width = pre.image_size,
                                   .channels = pre.channels,
                                   .fold = options.fold,
                                   .mean = {},
                                   .std = {}};
  if (options.input == "pixels")
    for (std::size_t c = 0; c < static_cast<std::size_t>(pre.channels); ++c) {
      how.mean.push_back(static_cast<double>(pre.mean[c]));
      how.std.push_back(static_cast<double>(pre.std[c]));
    }
  interop::onnx::Model model = interop::onnx::record(*trained.model.net, layout, how);
  model.metadata = metadata_of(trained, "exciton", noise);
  model.metadata.erase("format");
  model.metadata["input"] = options.input;
  report.tensors = std::ssize(model.initializers);
  interop::onnx::write(path, model);
}

/// Rounds the weights to bf16, and returns the logits that a file of such weights must have. Notes
/// by how much rounding moves them. Errors: by too much.
Tensor logits_of_rounded(TrainedModel& trained, const Shown& shown, const Tensor& own,
                         std::vector<std::string>& notes) {
  const auto rounded = [](const Tensor& values) {
    return values.dtype() == DType::f32 ? values.to(DType::bf16).to(DType::f32) : values;
  };
  for (const auto& [name, parameter] : nn::parameters(*trained.model.net))
    parameter->mutable_value() = rounded(parameter->value());
  for (const auto& [name, buffer] : nn::buffers(*trained.model.net)) *buffer = rounded(*buffer);
  Tensor logits = plain_logits(*trained.model.net, shown.images);
  Comparison moved = compare_logits(own, logits);
  moved.noise = shown.noise;
  moved.tolerance = bf16_tolerance;
  check(moved.agrees(),
        "export: not written, for weights rounded to bf16 compute something else: ", moved.text(),
        "; try f32");
  notes.push_back("Weights were rounded to bf16, against those of f32 " + moved.text());
  return logits;
}

/// Images as the file wants them: [N, C, H, W], normalised or as pixels.
interop::onnx::Array onnx_input(const Tensor& images, const Preprocessing& pre,
                                const ExportOptions& options) {
  const std::int64_t n = images.dim(0), h = images.dim(1), w = images.dim(2), c = images.dim(3);
  interop::onnx::Array out{{n, c, h, w},
                           std::vector<float>(static_cast<std::size_t>(images.numel()))};
  const float* from = images.data<float>();
  for (std::int64_t image = 0; image < n; ++image)
    for (std::int64_t p = 0; p < h * w; ++p)
      for (std::int64_t k = 0; k < c; ++k) {
        const auto channel = static_cast<std::size_t>(k);
        float value = *from++;
        if (options.input == "pixels") value = (value * pre.std[channel] + pre.mean[channel]) * 255;
        out.values[static_cast<std::size_t>((image * c + k) * h * w + p)] = value;
      }
  return out;
}

/// Logits by the interpreter of the bytes that were written, image by image.
Tensor onnx_logits(const fs::path& path, const interop::onnx::Array& input) {
  const interop::onnx::FileModel model = interop::onnx::read(path);
  std::vector<std::int64_t> shape = input.shape;
  const std::int64_t count = std::exchange(shape[0], 1);
  const std::ptrdiff_t each = std::ssize(input.values) / count;
  Tensor out;
  for (std::int64_t n = 0; n < count; ++n) {
    const auto begin = input.values.begin() + n * each;
    const std::vector<interop::onnx::Array> results =
        interop::onnx::run(path, model, {shape, {begin, begin + each}});
    check(results.size() == 1 && results[0].shape.size() == 2,
          "export: the graph has not the one output of logits");
    if (out.empty()) out = Tensor({count, results[0].shape[1]});
    std::ranges::copy(results[0].values, out.data<float>() + n * results[0].shape[1]);
  }
  return out;
}

}  // namespace

std::string Comparison::text() const {
  std::ostringstream out;
  out << images << (noise ? " images of noise" : " images") << ": logits differ by at most "
      << difference << " (allowed " << allowed() << "), "
      << (changed == 0 ? "no class changes" : std::to_string(changed) + " classes change");
  return out.str();
}

Comparison compare_logits(const Tensor& expected, const Tensor& got) {
  check(expected.shape() == got.shape() && expected.rank() == 2, "logits: expected ",
        expected.shape(), ", got ", got.shape());
  Comparison out{.images = expected.dim(0)};
  const std::int64_t classes = expected.dim(1);
  const auto a = expected.span<float>(), b = got.span<float>();
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    out.largest = std::max(out.largest, std::abs(static_cast<double>(a[i])));
    out.difference = std::isfinite(difference) ? std::max(out.difference, difference)
                                               : std::numeric_limits<double>::infinity();
  }
  for (std::int64_t n = 0; n < out.images; ++n) {
    const auto row =
        a.subspan(static_cast<std::size_t>(n * classes), static_cast<std::size_t>(classes));
    const auto other =
        b.subspan(static_cast<std::size_t>(n * classes), static_cast<std::size_t>(classes));
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    const auto now = std::max_element(other.begin(), other.end()) - other.begin();
    const double margin = static_cast<double>(row[static_cast<std::size_t>(best)]) -
                          static_cast<double>(row[static_cast<std::size_t>(now)]);
    out.changed += best != now && margin > 2 * out.difference;
  }
  return out;
}

Comparison compare_with_golden(const Imported& imported, const fs::path& golden,
                               const std::string& data) {
  const Tensor expected = interop::read_npy(golden);
  const auto classes = static_cast<std::int64_t>(imported.preprocessing.class_names.size());
  check(expected.rank() == 2 && expected.dim(1) == classes && expected.dim(0) > 0,
        "import: ", golden.string(), ": expected [images, ", classes, "], got ", expected.shape());
  check(!data.empty(), "import: of which images are the logits to compare with? Give the data");
  const auto set = images_of(imported.recipe.data, data, imported.recipe.seed);
  const Tensor images = first_images(imported.recipe, imported.preprocessing, set, expected.dim(0));
  const Comparison out = compare_logits(expected, plain_logits(*imported.model.net, images));
  check(out.agrees(), "import: ", golden.string(), ": ", out.text(),
        "; another source, normalisation or data than those logits are of?");
  return out;
}

Exported export_run(const fs::path& run, const fs::path& out, const ExportOptions& options,
                    const Warn& warn) {
  const bool onnx = out.extension() == ".onnx";
  check(onnx || out.extension() == ".safetensors", "export: ", out.string(),
        ": expected a name that ends in .safetensors or .onnx");
  check(!onnx || options.to.empty() || options.to == "exciton",
        "export: names of a library are for safetensors; those of ONNX are ours");
  check(options.input == "normalized" || options.input == "pixels",
        "export: input: expected normalized or pixels, got ", shortened(options.input, 40));
  check(onnx || (!options.fold && options.input == "normalized"),
        "export: folding and an input of pixels are for ONNX");
  check(options.dtype == "f32" || options.dtype == "bf16",
        "export: dtype: expected f32 or bf16, got ", shortened(options.dtype, 40));
  check(!onnx || options.dtype == "f32", "export: ", out.string(), ": dtype ", options.dtype,
        " is for safetensors; ONNX is written in f32");
  Exported report;
  std::optional<TrainedModel> trained(load(run, warn));
  const Shown shown = shown_to(*trained, options.data, report.notes);
  const interop::Source target = target_of(*trained, options.to);
  report.names = target.name;
  const Tensor own = plain_logits(*trained->model.net, shown.images);
  const bool bf16 = options.dtype == "bf16";
  const Tensor expected = bf16 ? logits_of_rounded(*trained, shown, own, report.notes) : own;
  // Under another name until it is proven.
  const fs::path unproven =
      out.parent_path() / (out.stem().string() + ".unproven" + out.extension().string());
  const nn::ModelOptions made = trained->model.options;
  const std::string name = trained->recipe.model.name;
  const Preprocessing pre = trained->preprocessing;
  try {
    if (onnx)
      write_onnx(unproven, *trained, options, shown.noise, report);
    else
      write_tensors(unproven, *trained, target, bf16, shown.noise, report);
    trained.reset();  // one copy of the weights at a time
    release_cached_memory();
    if (onnx) report.input = onnx_input(shown.images, pre, options);
    report.logits = expected;
    report.proof =
        compare_logits(expected, onnx ? onnx_logits(unproven, report.input)
                                      : logits_of_file(unproven, name, made, target, shown.images));
    report.proof.noise = shown.noise;
    check(
        report.proof.agrees(), "export: ", out.string(),
        " was not written, for what it would hold computes something else: ", report.proof.text());
    report.bytes = static_cast<std::int64_t>(fs::file_size(unproven));
    std::error_code failed;
    fs::rename(unproven, out, failed);
    check(!failed, "export: ", out.string(), ": cannot be written: ", failed.message());
  } catch (...) {
    std::error_code none;
    fs::remove(unproven, none);
    throw;
  }
  return report;
}

}  // namespace exciton::train
