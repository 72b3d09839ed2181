#include "apps/study/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace exciton::apps {
namespace {

/// The regularised incomplete beta function I_x(a, b), by the continued fraction of DLMF 8.17.22
/// (modified Lentz): some ten terms where x is below the mean of the distribution, and from above
/// it by I_x(a, b) = 1 - I_{1-x}(b, a).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  constexpr double tiny = 1e-300;
  const auto away_from_zero = [](double v) { return std::abs(v) < tiny ? tiny : v; };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), fraction = d;
  for (int m = 1; m < 10'000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double change = 1;
    for (const double term : {even, odd}) {
      d = 1 / away_from_zero(1 + term * d);
      c = away_from_zero(1 + term / c);
      change = c * d;
      fraction *= change;
    }
    if (std::abs(change - 1) < 1e-15) break;
  }
  const double log_beta = std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b);
  return std::exp(a * std::log(x) + b * std::log1p(-x) - log_beta) * fraction / a;
}

}  // namespace

double mean(const std::vector<double>& values) {
  return values.empty() ? 0
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

double sample_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double m = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - m) * (v - m);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double two_sided_p(double t, double freedom) {
  return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

double t_quantile(double p, double freedom) {
  // two_sided_p falls from 1 to 0: double the end until it holds the answer, then halve.
  double low = 0, high = 1;
  while (two_sided_p(high, freedom) > p && high < 1e300) high *= 2;
  for (double middle = high / 2; low < middle && middle < high; middle = low + (high - low) / 2)
    (two_sided_p(middle, freedom) > p ? low : high) = middle;
  return high;
}

double half_interval(const std::vector<double>& values) {
  if (values.size() < 2) return std::numeric_limits<double>::infinity();
  const auto n = static_cast<double>(values.size());
  return t_quantile(0.05, n - 1) * sample_deviation(values) / std::sqrt(n);
}

Welch welch_test(const std::vector<double>& a, const std::vector<double>& b) {
  Welch out{.difference = mean(a) - mean(b)};
  if (a.size() < 2 || b.size() < 2) return out;
  const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  const double sa = std::pow(sample_deviation(a), 2) / n, sb = std::pow(sample_deviation(b), 2) / m;
  if (sa + sb == 0) {  // no spread at all: different or equal beyond doubt
    out.p = out.difference == 0 ? 1 : 0;
    out.freedom = n + m - 2;
    return out;
  }
  out.t = out.difference / std::sqrt(sa + sb);
  out.freedom = (sa + sb) * (sa + sb) / (sa * sa / (n - 1) + sb * sb / (m - 1));
  out.p = two_sided_p(out.t, out.freedom);
  return out;
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> out(p.size());
  double least = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    least = std::max(least, std::min(1.0, p[order[rank]] * static_cast<double>(p.size() - rank)));
    out[order[rank]] = least;
  }
  return out;
}

}  // namespace exciton::apps
