#include "exciton/core/group.hpp"

#include <utility>
#include <vector>

namespace exciton {
namespace {
thread_local Share* active_share = nullptr;
}

std::string Group::broadcast(std::string text) {
  std::uint64_t size = text.size();
  broadcast(&size, sizeof size);
  text.resize(size);
  if (size > 0) broadcast(text.data(), size);
  return text;
}

bool Group::any(bool mine) {
  double sum = mine ? 1 : 0;
  this->sum({&sum, 1});
  return sum > 0;
}

Part part_of_batch(Group& group, std::int64_t images) {
  const auto rank = static_cast<std::size_t>(group.rank());
  std::vector<double> counts(static_cast<std::size_t>(group.size()));
  counts[rank] = static_cast<double>(images);
  group.sum(counts);
  Part out{.first = 0, .images = images, .total = 0, .fewest = images, .with_fewest = 0};
  for (std::size_t r = 0; r < counts.size(); ++r) {
    const auto here = static_cast<std::int64_t>(counts[r]);
    if (r < rank) out.first += here;
    out.total += here;
    if (r == 0 || here < out.fewest) {
      out.fewest = here;
      out.with_fewest = static_cast<int>(r);
    }
  }
  return out;
}

Share::Share(Group& of, const Part& part, bool sync)
    : group(of),
      first(part.first),
      images(part.images),
      total(part.total),
      sync_norms(sync),
      outer_(std::exchange(active_share, this)) {}

Share::~Share() { active_share = outer_; }

Share* Share::active() { return active_share; }

bool Share::even() const {
  const std::int64_t rank = group.rank(), size = group.size();
  return first == rank * total / size && first + images == (rank + 1) * total / size;
}

void sum_over_ranks(std::span<double> values) {
  if (Share* share = Share::active()) share->group.sum(values);
}

bool norms_are_shared() {
  const Share* share = Share::active();
  return share && share->sync_norms;
}

}  // namespace exciton
