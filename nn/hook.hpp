/// Places where a value on its way through a network can be seen, or replaced.
#pragma once
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "exciton/core/var.hpp"

namespace exciton::nn {

/// A forward hook: called with the value when it passes; what it returns goes on in its place.
/// Empty, as it starts: nothing happens, and nothing is paid. Every module has one on its result
/// (Module::forward_hook); some have more, on what is within.
using ForwardHook = std::function<Var(const Var&)>;

/// The same with what a module was given beside its result.
using ModuleHook = std::function<Var(const Var& input, const Var& output)>;

/// Called with the value when it passes, and leaves it; fused operators hand theirs out.
using Watch = std::function<void(const Tensor&)>;

inline Var hooked(const ForwardHook& hook, const Var& x) { return hook ? hook(x) : x; }

/// Puts a hook or watch behind those that are there already, while in scope. Scopes may end in any
/// order, but before the network does, which must not be moved meanwhile.
template <class F>
class Scoped {
 public:
  Scoped(F& place, F then) : place_(place), own_(std::make_shared<Link>(place, std::move(then))) {
    place_ = Caller{own_};
  }
  ~Scoped() {
    own_->then = nullptr;
    // What stands in the place and has ended goes; one below another waits for that one's end.
    while (const Caller* const newest = place_.template target<Caller>()) {
      if (newest->link->then) break;
      F before = newest->link->before;
      place_ = std::move(before);
    }
  }
  Scoped(const Scoped&) = delete;
  Scoped& operator=(const Scoped&) = delete;

 private:
  struct Link {
    F before, then;  // then: empty once its scope has ended
  };
  struct Caller {
    std::shared_ptr<Link> link;
    auto operator()(const auto& x) const {
      const F& before = link->before;
      const F& then = link->then;
      if constexpr (std::is_same_v<F, Watch>) {
        if (before) before(x);
        if (then) then(x);
      } else if (before && then) {
        return then(before(x));
      } else {
        return then ? then(x) : hooked(before, x);
      }
    }
  };
  F& place_;
  std::shared_ptr<Link> own_;
};
using HookScope = Scoped<ForwardHook>;
using WatchScope = Scoped<Watch>;

}  // namespace exciton::nn
