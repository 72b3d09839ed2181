/// Exercise 2, solved.
#pragma once
#include <vector>

namespace course {

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
  int mul(int a, int b) { return record({value(a) * value(b), a, b, value(b), value(a)}); }

  double value(int id) const { return entries_[static_cast<std::size_t>(id)].value; }

  /// The derivative of entry `output` by every entry, in recording order; 0 where it does not
  /// depend on it.
  std::vector<double> backward(int output) const {
    std::vector<double> grad(entries_.size(), 0.0);
    grad[static_cast<std::size_t>(output)] = 1;
    for (int id = output; id >= 0; --id) {
      const Entry& e = entries_[static_cast<std::size_t>(id)];
      if (e.a == none) continue;
      const double g = grad[static_cast<std::size_t>(id)];
      grad[static_cast<std::size_t>(e.a)] += g * e.by_a;
      grad[static_cast<std::size_t>(e.b)] += g * e.by_b;
    }
    return grad;
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
