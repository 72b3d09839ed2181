/// A trained tensor: value, gradient, and a version that tells caches when the value moved.
#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "exciton/core/anchored.hpp"
#include "exciton/core/tensor.hpp"
#include "exciton/core/thread_claim.hpp"

namespace exciton {

/// What a parameter is to its module. Optimisers may exempt all but `weight` from weight decay.
enum class Role { weight, norm, bias };

namespace detail {
/// A number that no value of any parameter has had before. Thread-safe. Not inline: who loads the
/// library at run time must count with it, not beside it.
std::uint64_t next_version();
}  // namespace detail

/// A tape that has recorded a parameter follows it when it is moved. Until the tape's backward() or
/// end no other thread's tape may record it.
class Parameter : public Anchored<Parameter> {
 public:
  Parameter() = default;
  explicit Parameter(Tensor value) : value_(std::move(value)) {}
  Parameter(Parameter&&) = default;
  Parameter& operator=(Parameter&&) = default;
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  std::int64_t numel() const { return value_.numel(); }
  bool empty() const { return value_.empty(); }

  /// Writable value. Every call counts as a change, so packed copies are refreshed.
  Tensor& mutable_value() {
    version_ = detail::next_version();
    return value_;
  }
  /// Of the value: no two values of a process have the same, those of other parameters included.
  std::uint64_t version() const { return version_; }

  /// Sum of the gradients since the last clear; empty when there is none. Same shape as value.
  Tensor grad;
  /// Adds to it; takes `g` where there is none and nobody else holds that.
  void add_gradient(Tensor g) {
    if (grad.empty() || g.empty())
      grad = !grad.empty() ? grad : g.shared() ? g.clone() : std::move(g);
    else
      grad += g;
  }
  /// A frozen parameter gets no gradient and no update.
  bool trainable = true;
  /// Its module says so when it is visited (nn/module.hpp). The number of dimensions does not tell:
  /// the kernel of ECA has one, as biases do.
  Role role = Role::weight;

  /// A tape's hold of a parameter: follows it when it is moved, and keeps tapes of other threads
  /// off. Errors: one of them has it.
  class Hold {
   public:
    Hold() = default;
    explicit Hold(Parameter& p) : ref_(p.ref()), held_(true) {
      check(p.in_use_.take(), "tape", ThreadClaim::in_use);
    }
    Hold(Hold&& other) noexcept
        : ref_(std::exchange(other.ref_, {})), held_(std::exchange(other.held_, false)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (get()) get()->in_use_.give_back();
    }
    explicit operator bool() const { return held_; }
    /// nullptr: it was destroyed or replaced.
    Parameter* get() const { return ref_.get(); }

   private:
    Ref ref_;
    bool held_ = false;
  };

 private:
  friend class Tape;
  ThreadClaim in_use_;           // by tapes of one thread
  std::uint64_t recording_ = 0;  // the last one that it is a leaf of
  int leaf_ = -1;                // its position there
  Tensor value_;
  std::uint64_t version_ = detail::next_version();
};

/// A parameter of something, and the name it has there: "stage1.0.conv1.weight".
struct NamedParameter {
  std::string name;
  Parameter* parameter;
};
/// The same for state that is saved but not trained.
struct NamedTensor {
  std::string name;
  Tensor* tensor;
};

}  // namespace exciton
