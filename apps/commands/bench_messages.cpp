/// exciton bench messages
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <vector>

#include "apps/commands/commands.hpp"
#include "apps/measure/workload.hpp"
#include "exciton/core/error.hpp"
#include "exciton/parallel/launch.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

struct BenchMessagesArguments {
  int sums = 32, rounds = 50;
  bool json = false;
};

/// Milliseconds until `sums` sums of `floats` each, begun one after another, are all there: the
/// median of `rounds`.
double time_sums(Group& group, int sums, std::size_t floats, int rounds) {
  std::vector<std::vector<float>> values(static_cast<std::size_t>(sums),
                                         std::vector<float>(floats));
  std::vector<double> ms;
  for (int round = -2; round < rounds; ++round) {  // two to get going
    group.any(false);                              // all begin together
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::unique_ptr<Group::Pending>> under_way;
    for (auto& one : values) under_way.push_back(group.begin_sum(one, false));
    for (const auto& one : under_way) one->wait();
    if (round >= 0)
      ms.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count());
  }
  return median(std::move(ms));
}

int run(const BenchMessagesArguments& args) {
  const auto launch = ranks::join(60);
  check(launch != nullptr,
        "bench messages: times what processes say to one another, and this is a single one; try "
        "mpirun -n 2 exciton bench messages");
  Group& group = launch->group();
  const auto ranks = static_cast<std::size_t>(group.size());
  const double messages = 2.0 * static_cast<double>(ranks - 1) * args.sums,
               bytes = 2.0 * static_cast<double>(ranks - 1) / static_cast<double>(ranks) *
                       static_cast<double>(args.sums) * (1 << 20);
  // A float a message; and buckets as large as those of gradients.
  const double one = time_sums(group, 1, ranks, args.rounds),
               small = time_sums(group, args.sums, ranks, args.rounds),
               large = time_sums(group, args.sums, std::size_t{1} << 18, args.rounds);
  const double us_per_message = 1e3 * small / messages,
               ms_per_megabyte = std::max(0.0, large - small) / (bytes / 1e6);
  const ranks::Place place = launch->place();  // which all take part in
  if (!group.leads()) return 0;
  if (args.json) {
    std::cout << train::to_text(train::Json{{"ranks", group.size()},
                                            {"machines", place.hosts},
                                            {"link", place.link},
                                            {"sums", args.sums},
                                            {"ms_one_sum", one},
                                            {"us_per_message", us_per_message},
                                            {"ms_per_megabyte", ms_per_megabyte}})
              << std::endl;
    return 0;
  }
  std::printf(
      "%d ranks on %d machines: a sum there and back %.3f ms, %.2f us a message of %d sums, "
      "%.3f ms a megabyte out and in (%.2f Gbit/s each way)\n",
      group.size(), place.hosts, one, us_per_message, args.sums, ms_per_megabyte,
      8 / ms_per_megabyte);
  return 0;
}

}  // namespace

void add_bench_messages(Command& bench) {
  auto args = std::make_shared<BenchMessagesArguments>();
  Command& command = bench.add_command(
      "messages", "What a message and a megabyte between the ranks of mpirun cost");
  command.add_option("--sums", args->sums, "that are under way at a time")
      .check(number_in(1, 1000))
      .show_default();
  command.add_option("--rounds", args->rounds, "of which the median counts")
      .check(number_in(1, 100'000))
      .show_default();
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  mpirun -n 2 exciton bench messages\n"
      "  mpirun -n 2 --mca pml ob1 --mca btl self,tcp exciton bench messages --json");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
