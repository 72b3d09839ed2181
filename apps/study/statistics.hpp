/// What a handful of seeds can say: Student's t, and Welch's test.
#pragma once
#include <vector>

namespace exciton::apps {

double mean(const std::vector<double>& values);
/// Of a sample: divides by n - 1. 0 for fewer than two values.
double sample_deviation(const std::vector<double>& values);

/// Probability that |T| of Student's distribution with `freedom` degrees exceeds |t|:
///   2 (1 - F(|t|)),  F its distribution function.
double two_sided_p(double t, double freedom);
/// The t with two_sided_p(t, freedom) = p.
double t_quantile(double p, double freedom);

/// Half of the 95 % confidence interval of the mean, t_quantile(0.05, n - 1) s / sqrt(n); infinite
/// for fewer than two values.
double half_interval(const std::vector<double>& values);

/// Welch's test of two means with unequal variances (Welch 1947; degrees of freedom by
/// Satterthwaite). p is 1 when a sample has fewer than two values, for then nothing is known of its
/// spread.
struct Welch {
  double difference = 0;  ///< mean(a) - mean(b)
  double t = 0, freedom = 0, p = 1;
};
Welch welch_test(const std::vector<double>& a, const std::vector<double>& b);

/// Holm's correction (1979) of the p values of several tests: the family errs with probability 5 %
/// when those below 0.05 are believed.
std::vector<double> holm(const std::vector<double>& p);

}  // namespace exciton::apps
