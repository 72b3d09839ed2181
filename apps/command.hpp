/// Every subcommand is one file with one function that adds it to the program.
#pragma once
#include <CLI/CLI.hpp>
#include <charconv>
#include <functional>
#include <sstream>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include "exciton/core/error.hpp"

namespace exciton::apps {

/// What the chosen subcommand does; returns the exit code. Set by the subcommand's callback.
using Action = std::function<int()>;

/// Exit codes: 0 done, 1 an error, 2 wrong use of the command line, 130 stopped by a signal.
inline constexpr int exit_error = 1, exit_usage = 2, exit_interrupted = 130;

void add_train(CLI::App& program, Action& action);
void add_eval(CLI::App& program, Action& action);
void add_predict(CLI::App& program, Action& action);
void add_inspect(CLI::App& program, Action& action);
void add_report(CLI::App& program, Action& action);
void add_study(CLI::App& program, Action& action);
void add_prune(CLI::App& program, Action& action);
void add_trace(CLI::App& program, Action& action);
void add_summary(CLI::App& program, Action& action);
void add_bench(CLI::App& program, Action& action);
/// `exciton bench data`
void add_bench_data(CLI::App& bench, Action& action);
void add_profile(CLI::App& program, Action& action);
void add_data(CLI::App& program, Action& action);
void add_recipes(CLI::App& program, Action& action);

/// Accepts decimal numbers from low to high, whole ones where the limits are. Unlike CLI::Range it
/// refuses nan, and takes 010 for ten.
template <class T>
CLI::Validator number_in(T low, T high) {
  std::ostringstream range;
  range << low << " to " << high;
  const std::string expected =
      std::string(std::is_integral_v<T> ? "a whole number from " : "a number from ") + range.str();
  return CLI::Validator(
      [=](std::string& text) {
        T value{};
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        const bool fits = error == std::errc() && stop == end && value >= low && value <= high;
        // CLI11 would read leading zeros as octal.
        if (fits && std::is_integral_v<T>) text = std::to_string(value);
        return fits ? std::string() : "expected " + expected + ", got " + shortened(text, 60);
      },
      range.str());
}

/// `--set key=value`, any number of times.
inline void add_set_option(CLI::App& command, std::vector<std::string>& to,
                           const std::string& example) {
  command.add_option("--set", to, "set one value of the recipe, e.g. --set " + example)
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

/// `--data DIR`, empty where it is left out; `whose` is the default, as people read it.
inline void add_data_option(CLI::App& command, std::string& to, const std::string& whose) {
  command.add_option("--data", to, "folder of the data set (default: " + whose + ")")
      ->type_name("DIR");
}
/// `--threads N`, 0 where it is left out.
inline void add_threads_option(CLI::App& command, int& to) {
  command.add_option("--threads", to, "processor threads (default: all)")
      ->check(number_in(1, 4096));
}

}  // namespace exciton::apps
