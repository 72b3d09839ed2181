#include "apps/measure/workload.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "apps/commands/commands.hpp"
#include "apps/terminal/hints.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/train/detection/detector.hpp"
#include "exciton/train/recipe.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::apps {
namespace {

nn::Model workload_model(const WorkloadOptions& options) {
  if (std::filesystem::exists(options.model)) {
    check(options.set.empty() && options.classes == 0 && options.image == 0,
          "bench: ", options.model, " is a trained model; leave out --set, --classes and --image");
    return train::load(options.model, warn).model;
  }
  const train::ModelRecipe recipe =
      train::model_recipe(options.model, options.classes, options.set);
  nn::ModelOptions model = recipe.options;
  model.image_size = options.image;
  return nn::make_model(recipe.name, model);
}

}  // namespace

void add_workload_options(Command& command, WorkloadOptions& to, bool model_required) {
  command.add_option("MODEL", to.model, "its name, e.g. se_resnet20, or a run folder")
      .required(model_required);
  command.add_option("--batch", to.batch, "images per step")
      .check(number_in(1, 65536))
      .show_default();
  command.add_option("--dtype", to.dtype, "f32, bf16 or auto")
      .check(one_of({"f32", "bf16", "auto"}))
      .show_default();
  add_threads_option(command, to.threads);
  command.add_option("--classes", to.classes, "outputs (default: 10 or 1000)")
      .check(number_in(1, 1'000'000));
  command.add_option("--image", to.image, "height and width (default: the model's own)")
      .check(number_in(1, 4096));
  command
      .add_option("--freeze", to.freeze,
                  "what does not train, with commas between: conv1,bn1,stage1")
      .type_name("NAMES")
      .delimiter(',');
  add_set_option(command, to.set, "se.reduction=8");
}

Workload make_workload(const WorkloadOptions& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  Workload w;
  w.precision = ops::choose_precision(options.dtype);
  w.model = workload_model(options);
  nn::freeze(*w.model.net, options.freeze);
  w.side = w.model.image_size;
  Generator rng(1);
  const std::int64_t channels = w.model.options.image_channels;
  w.images = Tensor::randn({options.batch, w.side, w.side, channels}, rng).to(w.precision.dtype);
  w.labels = Tensor({options.batch}, DType::i64);
  const auto classes = static_cast<std::uint64_t>(w.model.options.classes);
  for (std::int64_t& label : w.labels.span<std::int64_t>())
    label = static_cast<std::int64_t>(rng.below(classes));
  return w;
}

Workload make_detector_workload(const WorkloadOptions& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  const train::Recipe recipe = train::Recipe::read(options.model).with(options.set);
  check(recipe.detects(), "profile: ", options.model,
        " is a classifier's recipe; name its model instead, ", recipe.model.name);
  check(options.dtype == "f32" && options.image == 0,
        "profile: a detector runs in f32, at the size that its recipe says");
  constexpr std::int64_t coco = 80;
  const std::int64_t no_option = WorkloadOptions{}.batch;
  train::Preprocessing data;
  data.class_names.resize(static_cast<std::size_t>(options.classes > 0 ? options.classes : coco));
  auto net = train::make_detector(recipe, data);
  nn::freeze(*net, recipe.freeze);
  nn::freeze(*net, options.freeze);
  const std::int64_t batch = options.batch == no_option ? recipe.data.batch : options.batch;
  const data::Size size = train::transform_of(recipe, data).resized({480, 640});
  Generator rng(1);
  std::vector<Tensor> images;
  std::vector<nn::detection::Objects> objects(static_cast<std::size_t>(batch));
  for (nn::detection::Objects& own : objects) {
    images.push_back(Tensor::randn({size.height, size.width, 3}, rng));
    for (int k = 0; k < 8; ++k) {
      const auto span = [&](std::int64_t side) {
        const auto whole = static_cast<float>(side);
        const float low = rng.uniform(0, 0.6F * whole);
        return std::pair{low, low + rng.uniform(0.05F, 0.35F) * whole};
      };
      const auto [left, right] = span(size.width);
      const auto [top, bottom] = span(size.height);
      own.boxes.push_back({left, top, right, bottom});
      own.labels.push_back(static_cast<std::int64_t>(rng.below(data.class_names.size())));
    }
  }
  Workload w;
  w.precision = ops::choose_precision("f32");
  w.side = size.height;
  w.images = data::padded_batch(images);
  w.model.name = "faster_rcnn over " + recipe.model.name;
  const std::vector<nn::detection::ImageSize> sizes(objects.size(), {size.height, size.width});
  auto* const detector = net.get();
  w.loss = [detector, sizes, objects, x = w.images] {
    return detector->losses(x, sizes, objects).total();
  };
  w.detect = [detector, sizes, x = w.images] { detector->detect(x, sizes); };
  w.model.net = std::move(net);
  return w;
}

optim::Sgd make_optimizer(nn::Module& net) {
  return optim::Sgd(nn::parameters(net), {.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
}

void print_precision(const ops::Precision& precision, bool json) {
  if (precision.warning)
    std::cerr << "exciton: warning: " << precision.reason << std::endl;
  else if (!json && !precision.reason.empty())
    std::cout << precision.reason << std::endl;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace exciton::apps
