/// What only one thread at a time may use.
#pragma once
#include <atomic>
#include <string_view>
#include <thread>
#include <utility>

#include "exciton/core/error.hpp"

namespace exciton {

/// A mark in an object: which thread is using it. A thread may claim as often as it likes, and
/// gives each claim back. Claims move with the object.
class ThreadClaim {
 public:
  ThreadClaim() = default;
  ThreadClaim(ThreadClaim&& other) noexcept
      : owner_(other.owner_.exchange({})), depth_(std::exchange(other.depth_, 0)) {}
  ThreadClaim& operator=(ThreadClaim&& other) noexcept {
    owner_ = other.owner_.exchange({});
    depth_ = std::exchange(other.depth_, 0);
    return *this;
  }

  /// False: another thread holds it.
  bool take() {
    std::thread::id holder;  // nobody
    const std::thread::id self = std::this_thread::get_id();
    if (!owner_.compare_exchange_strong(holder, self) && holder != self) return false;
    ++depth_;
    return true;
  }
  void give_back() {
    if (--depth_ == 0) owner_ = std::thread::id();
  }

  /// Holds a claim while in scope. Errors: another thread holds it; `who` opens the message.
  class Scope {
   public:
    Scope(ThreadClaim& claim, std::string_view who) : claim_(claim) {
      check(claim.take(), who, in_use);
    }
    ~Scope() { claim_.give_back(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    ThreadClaim& claim_;
  };

  /// What callers say who do not get it.
  static constexpr std::string_view in_use =
      ": this model is in use by another thread; in training each thread needs a model of its own";

 private:
  std::atomic<std::thread::id> owner_{};
  int depth_ = 0;  // touched by the owner alone
};

}  // namespace exciton
