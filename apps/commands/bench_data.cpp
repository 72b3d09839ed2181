/// exciton bench data
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "exciton/core/error.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::apps {
namespace {

struct BenchDataArguments {
  std::string dir, kind = "auto", recipe;
  std::int64_t images = 1000, batch = 64, size = 224;
  int threads = 0;
  std::string dtype = "f32";
  bool json = false;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::shared_ptr<const data::Dataset> open_any(const BenchDataArguments& args) {
  try {
    return data::open_dataset(args.kind, args.dir, "train", {.memory_limit = 0});
  } catch (const Error&) {
    if (args.kind != "auto") throw;
    return data::open_images(args.dir);
  }
}

/// The recipe's, or what ImageNet is trained with.
data::Augment augment_of(const BenchDataArguments& args) {
  data::Augment augment;
  augment.flip = true;
  augment.random_resized_crop.scale_low = 0.08;
  augment.size = args.size;
  if (!args.recipe.empty()) {
    const train::DataRecipe recipe = train::recipe_from(train::read_json(args.recipe)).data;
    augment = recipe.augment;
    augment.size = recipe.image_size;
  }
  augment.mean = {0.485f, 0.456f, 0.406f};
  augment.std = {0.229f, 0.224f, 0.225f};
  return augment;
}

/// Time by the clock, and of the processor, which other programs do not lengthen.
struct Spent {
  double seconds = 0, processor = 0;
  Spent& operator+=(const Spent& other) {
    seconds += other.seconds;
    processor += other.processor;
    return *this;
  }
};

/// Adds the time since its last call to something.
class Stopwatch {
 public:
  void lap(Spent& to) {
    const Clock::time_point now = Clock::now();
    const std::clock_t used = std::clock();
    to += {std::chrono::duration<double>(now - at_).count(),
           static_cast<double>(used - used_) / CLOCKS_PER_SEC};
    at_ = now;
    used_ = used;
  }

 private:
  Clock::time_point at_ = Clock::now();
  std::clock_t used_ = std::clock();
};

/// What one thread spends in each stage, over all images.
struct Stages {
  Spent read, decode, augment, collate;
  std::int64_t images = 0;
  Spent total() const {
    Spent out;
    for (const Spent& stage : {read, decode, augment, collate}) out += stage;
    return out;
  }
};

/// Makes batches as the loader does, on this thread, with a clock between the stages.
Stages time_stages(const data::Dataset& set, const data::Augmenter& augmenter,
                   const BenchDataArguments& args) {
  Stages out;
  const DType type = train::activation_dtype(args.dtype);
  std::vector<std::uint8_t> bytes;
  data::Image image;
  Tensor batch;
  const std::int64_t count = std::min(args.images, set.size());
  Stopwatch watch;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = i * set.size() / count, place = i % args.batch;
    Generator rng(1, static_cast<std::uint64_t>(index));
    const auto request = [&](data::Size size) { return augmenter.frame(size, rng); };
    if (set.fetch(index, bytes)) {
      watch.lap(out.read);
      data::decode_view(bytes, set.name(index), set.channels(), request, image);
    } else {
      set.read_view(index, request, image);
    }
    watch.lap(out.decode);
    const std::int64_t values = image.height * image.width * image.channels;
    if (place == 0)
      batch = Tensor({std::min(args.batch, count - i), image.height, image.width, image.channels},
                     type);
    watch.lap(out.collate);
    if (type == DType::bf16)
      augmenter(image, rng, batch.data<bf16>() + place * values);
    else
      augmenter(image, rng, batch.data<float>() + place * values);
    watch.lap(out.augment);
    if (place + 1 == batch.dim(0)) augmenter.mix(batch, rng);
    watch.lap(out.collate);
  }
  out.images = count;
  return out;
}

/// Images per second of the loader itself, with as many workers as threads.
double time_loader(std::shared_ptr<const data::Dataset> set, const data::Augment& augment,
                   const BenchDataArguments& args) {
  data::LoaderOptions options;
  options.batch = std::min(args.batch, set->size());
  options.workers = num_threads();
  options.dtype = train::activation_dtype(args.dtype);
  data::Loader loader(std::move(set), augment, options);
  std::int64_t images = 0;
  const Clock::time_point start = Clock::now();
  for (std::int64_t epoch = 0; images < args.images; ++epoch) {
    loader.start_epoch(epoch);
    while (images < args.images) {
      const auto batch = loader.next();
      if (!batch) break;
      images += batch->labels.dim(0);
    }
  }
  return static_cast<double>(images) / seconds_since(start);
}

double per_second(double images, double seconds) { return seconds > 0 ? images / seconds : 0; }

int run(const BenchDataArguments& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  const auto set = open_any(args);
  const data::Augment augment = augment_of(args);
  const data::Augmenter augmenter(augment, set->channels());
  check(augmenter.resizes() || set->image_size() > 0, "bench data: ", args.recipe,
        " has no data.image_size, and images of ", set->description(), " may have several sizes");
  BenchDataArguments first = args;  // files into the system's cache
  first.images = std::min<std::int64_t>(args.images, 100);
  time_stages(*set, augmenter, first);
  const Stages stages = time_stages(*set, augmenter, args);
  const double loader = time_loader(set, augment, args);

  const auto n = static_cast<double>(stages.images);
  const std::pair<const char*, Spent> rows[] = {{"read", stages.read},
                                                {"decode", stages.decode},
                                                {"augment", stages.augment},
                                                {"collate", stages.collate},
                                                {"all", stages.total()}};
  if (args.json) {
    train::Json json = {{"data", set->description()},
                        {"images", stages.images},
                        {"batch", args.batch},
                        {"size", augment.size},
                        {"dtype", args.dtype},
                        {"loader_workers", num_threads()},
                        {"loader_images_per_second", loader}};
    for (const auto& [name, spent] : rows)
      json["stages"][name] = {{"ms_per_image", 1e3 * spent.seconds / n},
                              {"cpu_ms_per_image", 1e3 * spent.processor / n},
                              {"images_per_second_per_core", per_second(n, spent.seconds)}};
    std::cout << train::to_text(json) << std::endl;
    return 0;
  }
  std::printf("%s\n%lld images to %lld x %lld, batch %lld, %s\n\n", set->description().c_str(),
              static_cast<long long>(stages.images), static_cast<long long>(augment.size),
              static_cast<long long>(augment.size), static_cast<long long>(args.batch),
              args.dtype.c_str());
  std::printf("%-8s %12s %14s %18s\n", "stage", "ms per image", "of processor",
              "images/s per core");
  for (const auto& [name, spent] : rows)
    std::printf("%-8s %12.3f %14.3f %18.0f\n", name, 1e3 * spent.seconds / n,
                1e3 * spent.processor / n, per_second(n, spent.seconds));
  std::printf("\nloader with %d workers: %.0f images/s\n", num_threads(), loader);
  return 0;
}

}  // namespace

void add_bench_data(Command& bench) {
  auto args = std::make_shared<BenchDataArguments>();
  Command& command = bench.add_command(
      "data",
      "Images per second of the input: read, decode (crop and resize too), augment, collate");
  command.add_option("DIR", args->dir, "a data set, or any folder of images").required();
  command.add_option("--kind", args->kind, "which format it is")
      .check(one_of(data::dataset_kinds()))
      .show_default();
  command.add_option("--recipe", args->recipe,
                     "take data.augment and data.image_size from this recipe (default: random "
                     "resized crop and flip)");
  command.add_option("--size", args->size, "side of the crops, without a recipe")
      .check(number_in(1, 4096))
      .show_default();
  command.add_option("--images", args->images, "how many images")
      .check(number_in(1, 1'000'000'000))
      .show_default();
  command.add_option("--batch", args->batch, "images a batch")
      .check(number_in(1, 65536))
      .show_default();
  command.add_option("--dtype", args->dtype, "f32, bf16 or auto")
      .check(one_of({"f32", "bf16", "auto"}))
      .show_default();
  command.add_option("--threads", args->threads, "workers of the loader (default: all processors)")
      .check(number_in(1, 4096));
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton bench data data-cache/imagenet --images 2000\n"
      "  exciton bench data photos --size 64 --json");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
