/// Exercise 2: a tape for plain numbers, in a few lines.
#pragma once
#include <vector>

#include "exciton/core/error.hpp"

namespace course {

using exciton::fail;

/// Records sums and products of numbers, and differentiates any of them by all that came before.
///   ScalarTape t;
///   const int x = t.input(3), y = t.input(2);
///   const int z = t.add(t.mul(x, x), t.mul(x, y));   // x^2 + x y = 15
///   t.backward(z)[x];                                // 2 x + y = 8
class ScalarTape {
 public:
  /// Each call returns the number of the new entry.
  int input(double value) { return record({value, none, none, 0, 0}); }
  int add(int a, int b) { return record({value(a) + value(b), a, b, 1, 1}); }
  int mul(int a, int b) { fail("exercise 2: mul() is not written yet"); }

  double value(int id) const { return entries_[static_cast<std::size_t>(id)].value; }

  /// The derivative of entry `output` by every entry, in recording order; 0 where it does not
  /// depend on it.
  std::vector<double> backward(int output) const {
    fail("exercise 2: backward() is not written yet");
  }

 private:
  static constexpr int none = -1;
  /// A value, the entries it was made of (or none), and its derivative by each of the two.
  struct Entry {
    double value;
    int a, b;
    double by_a, by_b;
  };
  int record(const Entry& entry) {
    entries_.push_back(entry);
    return static_cast<int>(entries_.size()) - 1;
  }
  std::vector<Entry> entries_;
};

}  // namespace course
