/// Exercise 10: what the gates of an SE unit do.
#pragma once
#include "exciton/nn/gates.hpp"

namespace course {

using exciton::fail, exciton::Tensor, exciton::Var;

/// How many channels of a unit are
///   dead:       below 0.05 for every image
///   saturated:  above 0.95 for every image
///   stuck:      within 0.01 from the smallest to the largest gate over the images (a dead or
///               saturated channel may be stuck, too)
struct GateCounts {
  int dead = 0, saturated = 0, stuck = 0;
  bool operator==(const GateCounts&) const = default;
};

/// gates [N, C] (f32), one row per image.
inline GateCounts count_gates(const Tensor& gates) {
  fail("exercise 10: count_gates() is not written yet");
}

/// A forward hook that gives every image the mean gates of the batch: s [N, C] (f32) -> [N, C] with
/// equal rows. A network that needs its gates to tell images apart gets worse under it.
inline Var mean_gates(const Var& s) { fail("exercise 10: mean_gates() is not written yet"); }

}  // namespace course
