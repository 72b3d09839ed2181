/// Sums of gradients over the ranks of a group, while backward is still at work.
#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "exciton/core/group.hpp"
#include "exciton/core/parameter.hpp"
#include "exciton/core/tape_observer.hpp"
#include "exciton/nn/module.hpp"

namespace exciton::train {

/// Watches a tape: a parameter whose gradient is whole joins a bucket, and a bucket that is full
/// begins its way, in the order of backward, which is the same for all ranks. Passes on what it is
/// told to `next`, where there is one.
class GradientSums final : public TapeObserver {
 public:
  /// `as_bf16`: see Group::begin_sum.
  GradientSums(Group& group, bool as_bf16, TapeObserver* next);

  void entered(const void* module) override;
  void left() override;
  void began(const OperatorNode& op) override;
  void recorded(const OperatorNode& op, std::span<const Var> inputs, const Var& output) override;
  void ended(const OperatorNode& op, int id) override;
  void leaf_finished(Parameter& parameter) override;

  /// Sends what is left, waits for all of it, and puts the sums into the gradients. `parameters`
  /// are all of the network: those whose leaf was not told, inside blocks that are computed again,
  /// go last. `means` [n] f32, running statistics, become their mean over the ranks.
  void finish(const std::vector<NamedParameter>& parameters, const std::vector<Tensor*>& means);

  std::int64_t bytes() const { return bytes_; }      ///< of gradients and statistics
  double seconds_waited() const { return waited_; }  ///< in finish()

 private:
  struct Bucket {
    std::vector<Tensor*> into;  ///< the tensors that it is made of, in order
    std::int64_t size = 0;      ///< elements of all of them
    Tensor values;              ///< these, when it is sent
    std::unique_ptr<Group::Pending> pending;
  };
  void add(Tensor& values);
  void send();

  Group& group_;
  bool as_bf16_;
  TapeObserver* next_;
  std::vector<std::unique_ptr<Bucket>> sent_;
  std::unique_ptr<Bucket> open_;
  std::set<const Parameter*> told_;
  std::int64_t bytes_ = 0;
  double waited_ = 0;
};

}  // namespace exciton::train
