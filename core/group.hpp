/// Processes that train one network together, each on its part of every batch: what they say to one
/// another, and which part this one has.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace exciton {

/// The processes of a run, called ranks. All of them must make the same calls in the same order.
/// One thread at a time. Errors, of all calls: a rank that does not answer in time, by its number.
class Group {
 public:
  virtual ~Group() = default;
  virtual int rank() const = 0;  ///< of this process, from 0; 0 leads: it writes and prints
  virtual int size() const = 0;
  bool leads() const { return rank() == 0; }

  /// values[i] summed over the ranks, by a balanced binary tree in their order (ops/leaves.hpp):
  /// the same bits for all of them, and in every run.
  virtual void sum(std::span<double> values) = 0;
  /// What rank 0 has, for all.
  virtual void broadcast(void* data, std::size_t bytes) = 0;

  /// A sum that is under way.
  class Pending {
   public:
    virtual ~Pending() = default;
    virtual void wait() = 0;  ///< afterwards the values are the sums
  };
  /// Begins to sum `values` by the same tree; they must stay until wait(). Rounded to bf16 on
  /// their way, out and back, where `as_bf16`.
  virtual std::unique_ptr<Pending> begin_sum(std::span<float> values, bool as_bf16) = 0;
  /// Lets what is under way move on; never waits.
  virtual void progress() = 0;

  /// What rank 0 has, for all.
  std::string broadcast(std::string text);
  /// Whether it holds in one of the ranks.
  bool any(bool mine);
};

/// Which part of a batch a rank has.
struct Part {
  std::int64_t first = 0, images = 0, total = 0;
  std::int64_t fewest = 0;  ///< that a rank has, and which
  int with_fewest = 0;
};
/// Every rank says how many images of a batch it has; parts lie in the order of the ranks.
Part part_of_batch(Group& group, std::int64_t images);

/// The part of a batch that this process computes while a training step is in scope. Sums over
/// images take whole leaves of the batch then (ops/leaves.hpp), positions in random streams are
/// those of the whole batch, and losses are means over all of it.
class Share {
 public:
  /// Images [first, first + images) of `total` are here. `sync_norms`: batch norm takes its
  /// statistics over all ranks, instead of over its own images.
  Share(Group& of, const Part& part, bool sync_norms);
  ~Share();
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  /// That of this thread, or nullptr: it has the whole batch.
  static Share* active();

  Group& group;
  const std::int64_t first, images, total;
  const bool sync_norms;
  /// Whether this process's images are those that an even cut of the batch gives it.
  bool even() const;
  /// The least number of leaves that a sum over images was cut into; a sum has the bits of one
  /// process where the ranks divide it.
  int least_leaves = 1 << 30;

 private:
  Share* const outer_;
};

/// How many images the batch has of which `images` are here.
inline std::int64_t images_of_batch(std::int64_t images) {
  const Share* share = Share::active();
  return share && share->images == images ? share->total : images;
}
/// How many images of the batch lie before those that are here.
inline std::int64_t images_before(std::int64_t images) {
  const Share* share = Share::active();
  return share && share->images == images ? share->first : 0;
}
/// Sums over the ranks where there are several.
void sum_over_ranks(std::span<double> values);
/// Whether batch norm takes its statistics over several ranks now.
bool norms_are_shared();

}  // namespace exciton
