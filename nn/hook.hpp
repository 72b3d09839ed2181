/// Places where a value on its way through a network can be seen, or replaced.
#pragma once
#include <functional>
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

/// Puts a hook or watch behind those that are there already, while in scope. Scopes end in the
/// opposite order, and before the network does, which must not be moved meanwhile.
template <class F>
class Scoped {
 public:
  Scoped(F& place, F then) : place_(place), before_(place) {
    if (before_)
      place_ = [before = before_, then = std::move(then)](const auto& x) {
        if constexpr (std::is_same_v<F, Watch>) {
          before(x);
          then(x);
        } else {
          return then(before(x));
        }
      };
    else
      place_ = std::move(then);
  }
  ~Scoped() { place_ = std::move(before_); }
  Scoped(const Scoped&) = delete;
  Scoped& operator=(const Scoped&) = delete;

 private:
  F& place_;
  F before_;
};
using HookScope = Scoped<ForwardHook>;
using WatchScope = Scoped<Watch>;

}  // namespace exciton::nn
