/// What a tape recorded, for people: printing, counting and profiling.
///
///   Description description;
///   Tape tape(&description);
///   model(images);
///   for (const EntryInfo& e : description.entries()) ...
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "exciton/core/tape_observer.hpp"

namespace exciton {

/// One operation, in the order of the forward pass.
struct EntryInfo {
  std::string_view op;
  std::string kernel, backward_kernel;  ///< how it ran, see OperatorNode::kernel
  const void* scope = nullptr;          ///< the module that was running (see TapeObserver::Scope)
  std::vector<Shape> inputs;
  std::vector<const Parameter*> parameters;  ///< those among the inputs, where they were then
  Shape output;
  DType dtype = DType::f32;
  std::int64_t multiply_adds = 0;
  std::int64_t input_bytes = 0, output_bytes = 0;
  double forward_start = 0, backward_start = 0;  ///< seconds since the description began
  double forward_seconds = 0, backward_seconds = 0;
};

class Description final : public TapeObserver {
 public:
  const std::vector<EntryInfo>& entries() const { return entries_; }
  /// Since it was made: the clock of the start times.
  double seconds() const;

  void entered(const void* module) override { running_.push_back(module); }
  void left() override { running_.pop_back(); }
  void began(const OperatorNode&) override { start_ = seconds(); }
  void recorded(const OperatorNode& node, std::span<const Var> inputs, const Var& output) override;
  void ended(const OperatorNode&, int id) override;

 private:
  std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();
  double start_ = 0;
  std::vector<const void*> running_;
  std::vector<EntryInfo> entries_;
  std::unordered_map<int, std::size_t> entry_of_;  // by the output's id
};

}  // namespace exciton
