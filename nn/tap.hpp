/// Places where a value on its way through a network can be seen, or replaced.
#pragma once
#include <functional>

#include "exciton/core/tape.hpp"

namespace exciton::nn {

/// Called with the value when it passes; what it returns goes on in its place (return the argument
/// to only look). Empty, as it starts: nothing happens, and nothing is paid.
using Tap = std::function<Var(const Var&)>;

inline Var tapped(const Tap& tap, const Var& x) { return tap ? tap(x) : x; }

}  // namespace exciton::nn
