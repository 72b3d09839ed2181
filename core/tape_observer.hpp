/// What a tape tells while it records and runs back.
#pragma once
#include <span>

#include "exciton/core/tape.hpp"

namespace exciton {

/// Is told what a tape does: for descriptions, clocks, exporters, and sums over machines, which may
/// begin when a gradient is whole. Ids are those of Var; a recording that starts at the images
/// (Tape::watch) gives every value one.
struct TapeObserver {
  virtual ~TapeObserver() = default;
  virtual void entered(const void* /*module*/) {}  ///< by a forward pass, see Scope
  virtual void left() {}
  virtual void began(const OperatorNode&) {}  ///< forward, or backward
  virtual void recorded(const OperatorNode&, std::span<const Var> /*inputs*/,
                        const Var& /*output*/) {}  ///< forward is done; id -1: not on the tape
  virtual void ended(const OperatorNode&, int /*id*/) {}  ///< backward, of the value with that id
  virtual void leaf_finished(Parameter&) {}               ///< nothing more is added to its gradient

  /// Tells the observer of the active tape, if there is one, which module runs while in scope.
  class Scope {
   public:
    explicit Scope(const void* module)
        : observer_(Tape::active() ? Tape::active()->observer() : nullptr) {
      if (observer_) observer_->entered(module);
    }
    ~Scope() {
      if (observer_) observer_->left();
    }
    Scope(const Scope&) = delete;

   private:
    TapeObserver* observer_;
  };
};

}  // namespace exciton
