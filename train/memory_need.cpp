#include "exciton/train/memory_need.hpp"

#include <algorithm>
#include <fstream>

#include "exciton/core/threads.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/recompute.hpp"
#include "exciton/optim/ema.hpp"
#include "exciton/optim/registry.hpp"
#include "exciton/train/fine_tuning.hpp"
#include "exciton/train/loop.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {
namespace {

struct Sizes {
  std::size_t address_space = 0, resident = 0;  ///< bytes of this process now
};
Sizes sizes() {
  constexpr std::size_t page = 4096;
  std::ifstream in("/proc/self/statm");
  std::size_t pages = 0, resident = 0;
  in >> pages >> resident;
  return {pages * page, resident * page};
}

std::vector<MemoryEvent> recorded(const Recipe& recipe, const TrainingSize& size,
                                  std::int64_t images) {
  const DType type = activation_dtype(recipe.dtype);
  const MemoryRecorder recorder;
  nn::ModelOptions options = recipe.model.options;
  options.classes = size.classes;
  options.image_channels = size.channels;
  options.image_size = size.image_size;
  const nn::SkipInitialization as_they_come;
  nn::Model model = nn::make_model(recipe.model.name, options, recipe.seed);
  for (const nn::NamedParameter& p : nn::parameters(*model.net))
    p.parameter->mutable_value().fill(0);
  nn::freeze(*model.net, recipe.freeze);
  if (std::ranges::none_of(nn::parameters(*model.net),
                           [](const nn::NamedParameter& p) { return p.parameter->trainable; }))
    return {};  // an error of the recipe, which is told when the run begins
  nn::set_recompute(*model.net, nn::recompute_names.parse(recipe.recompute));
  const auto optimizer = optim::make_optimizer(
      recipe.optimizer, nn::parameters(*model.net),
      with_layer_decay(recipe.parameter_groups, *model.net, recipe.layer_decay));
  std::unique_ptr<optim::Ema> ema;
  if (recipe.ema_decay > 0)
    ema = std::make_unique<optim::Ema>(nn::parameters(*model.net), nn::buffers(*model.net),
                                       ema_options(recipe));
  optim::ScheduleSpec still;
  still.lr = 0;
  Loop loop(*model.net, *optimizer, optim::Schedule(still),
            {.clip_norm = recipe.clip_norm, .average = ema.get()});
  for (int step = 0; step < 2; ++step) {
    data::Batch batch;
    batch.images = Tensor::zeros({images, size.image_size, size.image_size, size.channels}, type);
    batch.labels = Tensor::zeros({images}, DType::i64);
    loop.step(batch);
  }
  return recorder.events();
}

}  // namespace

std::size_t address_space_overhead() {
  // Threads to come, the unused ends of the pool's segments (which are small where space is), and
  // what oneDNN takes for its code: it does not look whether it got it.
  constexpr std::size_t stack = std::size_t{8} << 20, segments = std::size_t{160} << 20;
  const Sizes now = sizes();
  return now.address_space - std::min(now.address_space, now.resident) + segments +
         2 * static_cast<std::size_t>(num_threads()) * stack;
}

MemoryNeed::MemoryNeed(const Recipe& recipe, const TrainingSize& size)
    : before_(sizes().resident),
      image_bytes_(size.image_size * size.image_size * size.channels *
                   static_cast<std::int64_t>(size_of(activation_dtype(recipe.dtype)))) {
  // Enough images that every kernel is the one of larger batches.
  constexpr std::int64_t small_image = 96;
  first_batch_ = size.image_size <= small_image ? 16 : 4;
  second_batch_ = 2 * first_batch_;
  first_ = recorded(recipe, size, first_batch_);
  second_ = recorded(recipe, size, second_batch_);
  release_cached_memory();
}

std::size_t MemoryNeed::pool_bytes(std::int64_t batch) const {
  const double share =
      static_cast<double>(batch - first_batch_) / static_cast<double>(second_batch_ - first_batch_);
  const auto between = [&](std::size_t a, std::size_t b) {
    const double value =
        static_cast<double>(a) + share * (static_cast<double>(b) - static_cast<double>(a));
    return static_cast<std::size_t>(std::max(1.0, value));
  };
  const bool alike =
      std::ranges::equal(first_, second_, [](const MemoryEvent& a, const MemoryEvent& b) {
        return a.taken == b.taken && a.block == b.block;
      });
  // Where another kernel ran, or threads came in another order, the totals must do.
  if (!alike) return between(replayed_memory(first_), replayed_memory(second_));
  std::vector<MemoryEvent> events = first_;
  for (std::size_t i = 0; i < events.size(); ++i)
    events[i].bytes = between(first_[i].bytes, second_[i].bytes);
  return replayed_memory(events);
}

std::size_t MemoryNeed::bytes(std::int64_t batch) const {
  constexpr std::int64_t batches_ready = 5;  // the loader's queue, and the one at hand
  return before_ + pool_bytes(batch) +
         static_cast<std::size_t>(batches_ready * batch * image_bytes_);
}

std::int64_t MemoryNeed::largest_batch(std::int64_t most, std::size_t limit) const {
  std::int64_t batch = 1;
  while (2 * batch <= most) batch *= 2;
  for (; batch >= 2; batch /= 2)
    if (bytes(batch) <= limit) return batch;
  return 0;
}

}  // namespace exciton::train
