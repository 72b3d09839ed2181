/// What every optimiser is held to; an optimiser's own test makes it and says what is its own.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/optim/optimizer.hpp"

namespace exciton::optim {

inline std::vector<double> values(const Tensor& t) {
  std::vector<double> v;
  for (std::int64_t i = 0; i < t.numel(); ++i) v.push_back(t.at(i));
  return v;
}

/// Takes the recorded steps of a weight [3, 2] and a bias [3] with make(recorded case, parameters),
/// and compares both with PyTorch's after each.
template <class Make>
void expect_golden(const char* name, DType type, Make&& make) {
  const double tolerance = type == DType::f64 ? 1e-14 : 2e-6;
  std::ifstream file(EXCITON_GOLDEN_DIR "/optim.json");
  const nlohmann::json recorded = nlohmann::json::parse(file)[name];
  ASSERT_FALSE(recorded.empty());
  for (const auto& c : recorded) {
    nlohmann::json options = c;
    for (const char* values : {"weight", "bias", "weight_grad", "bias_grad"}) options.erase(values);
    SCOPED_TRACE(options.dump());
    Parameter weight(Tensor::from({3, 2}, c["weight"][0], type));
    Parameter bias(Tensor::from({3}, c["bias"][0], type));
    bias.role = Role::bias;
    auto optimizer = make(c, std::vector<NamedParameter>{{"weight", &weight}, {"bias", &bias}});
    const std::size_t steps = c["weight_grad"].size();
    for (std::size_t s = 0; s < steps; ++s) {
      weight.grad = Tensor::from({3, 2}, c["weight_grad"][s], type);
      bias.grad = Tensor::from({3}, c["bias_grad"][s], type);
      optimizer.step(c["lr"].get<double>() *
                     (1 - static_cast<double>(s) / static_cast<double>(steps)));
      for (std::int64_t i = 0; i < 6; ++i)
        EXPECT_NEAR(weight.value().at(i), c["weight"][s + 1][i].get<double>(), tolerance);
      for (std::int64_t i = 0; i < 3; ++i)
        EXPECT_NEAR(bias.value().at(i), c["bias"][s + 1][i].get<double>(), tolerance);
    }
  }
}

/// Four steps, and two of them by another optimiser that was given the state of the first: the same
/// bits. `names` are those of the state of a parameter "w".
template <class Make>
void expect_resumes(const std::vector<std::string>& names, Make&& make) {
  Generator rng(5);
  Parameter whole(Tensor::randn({5, 7}, rng)), resumed;
  std::vector<Tensor> grads, saved;
  for (int i = 0; i < 4; ++i) grads.push_back(Tensor::randn({5, 7}, rng));
  auto optimizer = make(std::vector<NamedParameter>{{"w", &whole}});
  for (std::size_t i = 0; i < 4; ++i) {
    if (i == 2) {
      resumed = Parameter(whole.value().clone());
      std::vector<std::string> found;
      for (const auto& [name, t] : optimizer.state()) {
        found.push_back(name);
        saved.push_back(t->clone());
      }
      EXPECT_EQ(found, names);
    }
    whole.grad = grads[i].clone();
    optimizer.step(0.1);
  }
  auto again = make(std::vector<NamedParameter>{{"w", &resumed}});
  const auto state = again.state();
  ASSERT_EQ(state.size(), saved.size());
  for (std::size_t i = 0; i < state.size(); ++i) state[i].tensor->copy_from(saved[i]);
  for (std::size_t i = 2; i < 4; ++i) {
    resumed.grad = grads[i].clone();
    again.step(0.1);
  }
  EXPECT_EQ(values(resumed.value()), values(whole.value()));
}

/// Two steps over tensors smaller and larger than a thread's share, on 1, 2 and 5 threads.
template <class Make>
void expect_same_on_any_threads(Make&& make) {
  const auto run = [&](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    Generator rng(9);
    std::vector<Parameter> p;
    std::vector<NamedParameter> named;
    for (const std::int64_t n : {1, 40000, 3, 70001, 16384, 2})
      p.emplace_back(Tensor::rand({n, 1}, rng));
    for (auto& each : p) named.push_back({"p", &each});
    auto optimizer = make(named);
    for (int step = 0; step < 2; ++step) {
      for (auto& each : p) each.grad = each.value().clone();
      optimizer.step(0.1);
    }
    set_num_threads(before);
    std::vector<double> all;
    for (const auto& each : p)
      for (const double v : values(each.value())) all.push_back(v);
    return all;
  };
  const auto one = run(1);
  EXPECT_EQ(one, run(2));
  EXPECT_EQ(one, run(5));
}

}  // namespace exciton::optim
