#include "apps/statistics.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace exciton::apps {

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
  return 2 * cdf(complement(boost::math::students_t(freedom), std::abs(t)));
}

double t_quantile(double p, double freedom) {
  return quantile(complement(boost::math::students_t(freedom), p / 2));
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
