#include "exciton/nn/models/families.hpp"

#include <algorithm>
#include <utility>

#include "exciton/core/suggest.hpp"

namespace exciton::nn::models {

Registry::Entry cifar(std::string name, Registry::Factory make, std::int64_t stages) {
  return {std::move(name), 32, 10, false, std::move(make), stages};
}

Registry::Entry imagenet(std::string name, Registry::Factory make, std::int64_t stages) {
  return {std::move(name), 224, 1000, false, std::move(make), stages};
}

ops::PoolSpec strided_pool(const ModelOptions& o) {
  check(o.pool == "ceil" || o.pool == "padded", "pool: expected ceil or padded, got \"", o.pool,
        '"');
  const bool padded = o.pool == "padded";
  return {.kernel = 3, .stride = 2, .padding = padded ? 1 : 0, .ceil_mode = !padded};
}

Registry::Entry reading(Registry::Entry entry, const Reads& reads) {
  entry.make = [name = entry.name, reads, make = std::move(entry.make)](const ModelOptions& o,
                                                                        Generator& init) {
    const ModelOptions none;
    check(reads.shortcut || o.shortcut == none.shortcut, name,
          ": has no choice of shortcuts; leave shortcut out");
    check(reads.stride_on || o.stride_on == none.stride_on, name,
          ": stride_on is for ResNets of bottlenecks; leave it out");
    check(reads.pool || o.pool == none.pool, name, ": has no max pool to choose; leave pool out");
    check(reads.activation || o.activation.empty(), name,
          ": has its paper's activation; leave activation out");
    check(o.stem.empty() || std::ranges::count(reads.stems, o.stem) > 0, name, ": stem \"", o.stem,
          reads.stems.empty() ? "\": it has one stem; leave it out"
                              : "\": known are " + listed(reads.stems));
    return make(o, init);
  };
  return entry;
}

void add_with_se(Registry& registry, Registry::Entry plain, const Reads& reads) {
  Registry::Entry se = plain;
  se.name = "se_" + plain.name;
  se.se = true;
  registry.add(reading(std::move(plain), reads));
  registry.add(reading(std::move(se), reads));
}

}  // namespace exciton::nn::models
