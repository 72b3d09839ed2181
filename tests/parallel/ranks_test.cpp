/// `mpiexec -n P exciton train`: the training of one process, in several.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <ostream>
#include <set>
#include <thread>

#include "exciton/core/random.hpp"
#include "tests/apps/support.hpp"

namespace exciton::ranks::testing {
namespace {

namespace fs = std::filesystem;
using namespace apps::testing;
using Clock = std::chrono::steady_clock;

/// Before any test: more ranks than processors, and as root, are as good as any others here.
const bool allowed = [] {
  for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                           "OMPI_MCA_rmaps_base_oversubscribe", "PRTE_ALLOW_RUN_AS_ROOT",
                           "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM"})
    ::setenv(name, "1", 1);
  // Where AddressSanitizer is on, leaks of MPI's own are told by who called it; see
  // tests/lsan.supp.
  const char* asan = std::getenv("ASAN_OPTIONS");
  ::setenv("ASAN_OPTIONS", (std::string(asan ? asan : "") + " fast_unwind_on_malloc=0").c_str(), 1);
  ::setenv("OMPI_MCA_rmaps_default_mapping_policy", ":OVERSUBSCRIBE", 1);
  ::setenv("PRTE_MCA_rmaps_default_mapping_policy", ":OVERSUBSCRIBE", 1);
  return true;
}();

std::vector<std::string> mpiexec(int ranks) {
  return {EXCITON_MPIEXEC, "-n", std::to_string(ranks)};
}

/// What a variable of the environment says to the programs that begin while it is in scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* text) : name_(name) { ::setenv(name, text, 1); }
  ~ScopedVariable() { ::unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;

 private:
  const char* name_;
};

class Ranks : public ::testing::Test {
 protected:
  /// `images` of which a batch has 256, without a small one at the end.
  void write(std::int64_t images, const std::string& model = "se_resnet20") {
    write_tiny_data(dir / "data", images, 50);
    write_tiny_recipe(dir / "recipe.json", dir / "data", model);
  }
  std::vector<std::string> call(const std::string& out, const std::vector<std::string>& set) const {
    std::vector<std::string> words{"train", (dir / "recipe.json").string(), "--out",
                                   (dir / out).string()};
    for (const std::string& one : set) {
      if (!one.starts_with("--")) words.emplace_back("--set");
      words.push_back(one);
    }
    return words;
  }
  Result train(int ranks, const std::string& out, const std::vector<std::string>& set) const {
    return Process(call(out, set), 0, ranks == 1 ? std::vector<std::string>{} : mpiexec(ranks))
        .wait();
  }
  Result trained(int ranks, const std::string& out, const std::vector<std::string>& set) const {
    const Result result = train(ranks, out, set);
    EXPECT_EQ(result.code, 0) << ranks << " ranks: " << result.out << result.err;
    return result;
  }
  fs::path newest(const std::string& run) const {
    return train::RunFolder(dir / run).newest()->path;
  }
  void expect_same(const std::string& a, const std::string& b) const {
    expect_same_tensors(newest(a), newest(b));
    auto left = read_log(dir / a), right = read_log(dir / b);
    ASSERT_EQ(left.size(), right.size());
    for (std::size_t i = 0; i < left.size(); ++i)
      for (const char* key : {"train_loss", "train_top1", "test_loss", "test_top1", "test_top5",
                              "test_macro_recall", "lr", "skipped_images"})
        EXPECT_EQ(left[i].value(key, train::Json()), right[i].value(key, train::Json())) << key;
  }
  /// The largest difference of weights, over the largest weight.
  double difference(const std::string& a, const std::string& b) const {
    const train::Checkpoint left = train::read_checkpoint(newest(a)),
                            right = train::read_checkpoint(newest(b));
    double largest = 0, apart = 0;
    for (const train::SavedTensor& t : left.tensors) {
      if (!t.name.starts_with("model.") || t.name.find("running_") != std::string::npos ||
          t.tensor.dtype() != DType::f32)
        continue;
      const Tensor& other = *right.find(t.name);
      for (std::int64_t i = 0; i < other.numel(); ++i) {
        largest = std::max(largest, std::abs(t.tensor.at(i)));
        apart = std::max(apart, std::abs(t.tensor.at(i) - other.at(i)));
      }
    }
    return apart / largest;
  }
  TempDir dir;
};

/// Less of a network; its sums have four leaves at a batch of 256.
const std::string few = "model.blocks=[1,1,1]";
const std::vector<std::string> synced{"parallel.norm=sync", "data.batch=256",
                                      "data.validation=test", "data.last_batch=drop"};

std::vector<std::string> with(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Kind {
  const char* name;
  const char* model;
  std::int64_t images;
  std::vector<std::string> set;
  std::vector<int> ranks{2, 4};  ///< that divide the leaves
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class SameBits : public Ranks, public ::testing::WithParamInterface<Kind> {};

TEST_P(SameBits, OnAnyNumberOfRanksThatDividesTheLeaves) {
  write(GetParam().images, GetParam().model);
  for (const char* dtype : {"f32", "bf16"}) {
    const auto set = with(with(synced, GetParam().set), {std::string("dtype=") + dtype});
    const std::string one = std::string(dtype) + "-1";
    trained(1, one, set);
    for (const int ranks : GetParam().ranks) {
      SCOPED_TRACE(::testing::Message() << dtype << ", " << ranks << " ranks");
      const std::string out = std::string(dtype) + '-' + std::to_string(ranks);
      const Result result = trained(ranks, out, set);
      // What the first line promises is what holds.
      ASSERT_NE(result.out.find("the bits of one process"), std::string::npos) << result.out;
      expect_same(one, out);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, SameBits,
    ::testing::Values(
        Kind{"basic",
             "se_resnet20",
             256,
             {"data.image_size=32", few, "ema_decay=0.9", "data.augment.mixup=0.2",
              "class_weights=balanced"}},
        Kind{"accumulated",
             "resnet20",
             512,
             {"data.image_size=32", few, "clip_norm=0.5", "accumulate=2", "data.augment.cutmix=1"}},
        Kind{"large", "se_resnet20", 512, {"data.image_size=32", few, "data.batch=512"}, {8}}),
    [](const auto& kind) { return std::string(kind.param.name); });

TEST_F(Ranks, ThreeOfThemAreAsOneProcessToRoundingAndAlwaysAlike) {
  write(256);
  const auto set = with(synced, {"epochs=1", "data.image_size=32", few, "dtype=f32"});
  trained(1, "one", set);
  EXPECT_NE(trained(3, "a", set).out.find("to rounding"), std::string::npos);
  trained(3, "b", set);
  expect_same("a", "b");
  EXPECT_LT(difference("one", "a"), 1e-6);  // after one step
}

TEST_F(Ranks, WithTheirOwnNormsTheyAreShardsInTurn) {
  // One path: which kernel takes the least time depends on the images of a batch, here 64 and 32.
  std::optional<ScopedVariable> path;
  if (!std::getenv("EXCITON_CONV")) path.emplace("EXCITON_CONV", "direct");
  write(64);
  trained(2, "ranks", {"epochs=1", "data.batch=64", "data.validation=test", "dtype=f32"});
  trained(1, "turns",
          {"epochs=1", "data.batch=32", "accumulate=2", "data.validation=test", "dtype=f32"});
  EXPECT_LT(difference("ranks", "turns"), 1e-6);
}

TEST_F(Ranks, GradientsInBf16AreRoundedOnTheirWay) {
  write(256);
  const auto set = with(synced, {"epochs=1", "data.image_size=32", few, "dtype=f32"});
  trained(1, "one", set);
  trained(2, "rounded", with(set, {"parallel.gradients=bf16"}));
  const double apart = difference("one", "rounded");
  EXPECT_GT(apart, 1e-6);
  EXPECT_LT(apart, 1e-2);
}

TEST_F(Ranks, AResumeTakesAnotherNumberOfThem) {
  write(256);
  const auto set =
      with(synced, {"data.image_size=32", few, "schedule={\"name\":\"constant\",\"lr\":0.05}"});
  trained(1, "whole", set);
  trained(4, "parts", with(set, {"epochs=1"}));
  trained(2, "parts", with(set, {"--resume"}));
  expect_same("whole", "parts");
}

TEST_F(Ranks, ImagesThatCannotBeReadAreCountedAndTheRestIsTrained) {
  write(64);
  for (int i = 0; i < 40; ++i)
    write_file(
        dir / "photos" / (i % 2 ? "a" : "b") / (std::to_string(i) + ".ppm"),
        i % 7 == 3 ? "no image" : "P6 8 8 255\n" + std::string(192, static_cast<char>(5 * i)));
  const Result result = trained(2, "skips",
                                {"--data=" + (dir / "photos").string(), "data.kind=auto",
                                 "data.on_error=skip", "data.validation=0.2", "data.image_size=8",
                                 "epochs=1", "data.batch=20", "data.augment.pad_crop=0"});
  EXPECT_NE(result.err.find("left out"), std::string::npos) << result.err;
  const auto log = read_log(dir / "skips");
  ASSERT_EQ(log.size(), 1u);
  EXPECT_GT(log[0]["skipped_images"].get<int>(), 0);
}

TEST_F(Ranks, TooManyForABatchAreRefusedAtTheStart) {
  write(64);
  const Result alone = train(4, "none", {"data.batch=6", "data.last_batch=drop"});
  EXPECT_NE(alone.code, 0);
  EXPECT_NE(alone.err.find("fewer than 2"), std::string::npos) << alone.err;
  EXPECT_NE(alone.err.find("sync"), std::string::npos) << alone.err;
  EXPECT_FALSE(fs::exists(dir / "none" / "recipe.json"));
  const Result last = train(4, "none", {"parallel.norm=sync", "data.batch=62"});
  EXPECT_NE(last.err.find("the last of an epoch"), std::string::npos) << last.err;
}

TEST_F(Ranks, AnEmulatedLinkChangesNoBits) {
  write(256);
  const auto set = with(synced, {"epochs=1", "data.image_size=32", few, "dtype=bf16"});
  for (const int ranks : {2, 3}) {
    SCOPED_TRACE(::testing::Message() << ranks << " ranks");
    const std::string plain = "plain" + std::to_string(ranks),
                      linked = "linked" + std::to_string(ranks);
    EXPECT_EQ(trained(ranks, plain, set).out.find("Gbit/s"), std::string::npos);
    const ScopedVariable link("EXCITON_LINK", "0.1Gbit/s,2ms");
    EXPECT_NE(trained(ranks, linked, set).out.find("links of 0.1 Gbit/s and 2 ms"),
              std::string::npos);
    expect_same(plain, linked);
  }
}

/// Seconds of the processor that the children that have ended took.
double seconds_of_children() {
  ::rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const ::timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

TEST_F(Ranks, AnEmulatedLinkTakesItsTimeAndLeavesTheProcessorAlone) {
  const std::vector<std::string> bench{"bench",   "train",     "se_resnet20", "--batch", "8",
                                       "--steps", "1",         "--warmup",    "1",       "--image",
                                       "8",       "--threads", "1",           "--json"};
  const auto run_bench = [&](int ranks) {
    const Result result = Process(bench, 0, mpiexec(ranks)).wait();
    EXPECT_EQ(result.code, 0) << result.err;
    return train::Json::parse(result.out);
  };
  for (const int ranks : {2, 4}) {
    SCOPED_TRACE(::testing::Message() << ranks << " ranks");
    EXPECT_EQ(run_bench(ranks)["link"], "");
    const ScopedVariable link("EXCITON_LINK", "0.005Gbit/s,20ms");
    const double before = seconds_of_children();
    const train::Json result = run_bench(ranks);
    EXPECT_EQ(result["link"], "0.005 Gbit/s and 20 ms");
    // 2 (P - 1) / P of the bytes through each end, there and back; two counts are summed as well.
    const double bits = 8 * result["bytes_per_step"].get<double>(),
                 exchange = 2.0 * (ranks - 1) / ranks * bits / 0.005e9 * 1e3 + 2 * 20,
                 step = result["ms_per_step"].get<double>();
    EXPECT_GT(exchange, 1000);
    EXPECT_GE(step, exchange);
    EXPECT_LT(step, 2 * exchange + 10'000);
    // Two steps were made, of which ranks waited nearly all. A spinning one would take it all.
    EXPECT_LT(seconds_of_children() - before, 0.5 * ranks * 2 * step / 1e3 + 5);
  }
}

TEST_F(Ranks, ALinkIsTheSameForAllAndWellSaid) {
  const std::vector<std::string> bench{"bench", "train", "se_resnet20", "--batch", "8"};
  {
    const ScopedVariable link("EXCITON_LINK", "fast");
    const Result result = Process(bench, 0, mpiexec(2)).wait();
    EXPECT_NE(result.code, 0);
    EXPECT_NE(result.err.find("EXCITON_LINK is a rate"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("got \"fast\""), std::string::npos) << result.err;
  }
  // Not `-n 1 env ... : -n 1 ...`, at which Open MPI 5's mpiexec dies (Debian 13).
  std::vector<std::string> two = mpiexec(2);
  two.insert(two.end(), {"sh", "-c",
                         "[ ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} != 0 ] || export "
                         "EXCITON_LINK=1Gbit/s,1ms; exec \"$0\" \"$@\""});
  const Result result = Process(bench, 0, two).wait();
  EXPECT_NE(result.code, 0);
  EXPECT_NE(result.err.find("not the same for all ranks"), std::string::npos) << result.err;
}

TEST_F(Ranks, MessagesAreTimed) {
  const ScopedVariable link("EXCITON_LINK", "10Gbit/s,3ms");
  const std::vector<std::string> messages{"bench",    "messages", "--sums", "4",
                                          "--rounds", "3",        "--json"};
  const Result result = Process(messages, 0, mpiexec(2)).wait();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_GE(train::Json::parse(result.out)["ms_one_sum"].get<double>(), 6);  // there and back
  const Result alone = run(messages);
  EXPECT_NE(alone.code, 0);
  EXPECT_NE(alone.err.find("mpirun -n 2 exciton bench messages"), std::string::npos) << alone.err;
}

/// The processes that run the program on behalf of a launcher.
std::vector<::pid_t> ranks_of(::pid_t launcher) {
  std::vector<::pid_t> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code none;
    if (fs::read_symlink(entry.path() / "exe", none) != fs::path(EXCITON_PROGRAM)) continue;
    // Up through the launcher's own processes.
    for (std::string at = name; !at.empty() && at != "1" && at != "0";) {
      if (at == std::to_string(launcher)) {
        out.push_back(std::stoi(name));
        break;
      }
      std::ifstream status("/proc/" + at + "/status");
      at.clear();
      for (std::string line; std::getline(status, line);)
        if (line.starts_with("PPid:")) at = line.substr(line.find_first_of("0123456789"));
    }
  }
  return out;
}

/// How often a run has written a checkpoint, as far as its files tell.
std::string state_of(const fs::path& run) {
  std::set<std::string> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", none))
    files.insert(entry.path().filename());
  return files.empty() ? "" : *files.rbegin();
}

/// Six kills; EXCITON_TEST_KILLS says another number.
TEST_F(Ranks, AKilledOneEndsTheJobAndTheResumeEndsInTheSameBits) {
  write(256);
  const auto set = with(synced, {"data.batch=32", "epochs=3", "checkpoint.every_steps=1",
                                 "checkpoint.keep_last=100", "--resume"});
  trained(2, "whole", set);
  const char* wanted = std::getenv("EXCITON_TEST_KILLS");
  const int most = wanted ? std::atoi(wanted) : 6;
  Generator rng(11);
  Clock::duration longest{};
  int kills = 0;
  for (int run = 0; kills < most; ++run) {
    ASSERT_LT(run, most + 5) << "only " << kills << " kills";
    const std::string out = "killed" + std::to_string(run);
    for (int here = 0; here < 10 && kills < most; ++here) {
      const std::string before = state_of(dir / out);
      Process job(call(out, set), 0, mpiexec(2));
      while (job.running() && state_of(dir / out) == before)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::this_thread::sleep_for(std::chrono::milliseconds(rng.below(40)));
      const auto ranks = ranks_of(job.id());
      if (ranks.empty()) break;  // it is done
      ::kill(ranks[rng.below(ranks.size())], SIGKILL);
      const Clock::time_point killed = Clock::now();
      const Result result = job.wait();
      longest = std::max(longest, Clock::now() - killed);
      if (result.code == 0) break;  // the kill came after the end
      ++kills;
    }
    trained(2, out, set);
    expect_same("whole", out);
  }
  EXPECT_LT(longest, std::chrono::seconds(10));
  RecordProperty("kills", kills);
  RecordProperty("longest_ms", static_cast<int>(longest / std::chrono::milliseconds(1)));
}

TEST_F(Ranks, AHungOneIsNamed) {
  write(256);
#ifdef __SANITIZE_THREAD__  // makes a step of some milliseconds one of seconds
  const std::string seconds = "20";
#else
  const std::string seconds = "2";
#endif
  Process job(call("hung", with(synced, {"data.image_size=32", few, "epochs=2000",
                                         "--rank-timeout=" + seconds})),
              0, mpiexec(2));
  while (job.running() && !fs::exists(dir / "hung" / "log.jsonl"))
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto ranks = ranks_of(job.id());
  ASSERT_EQ(ranks.size(), 2u) << job.wait().err;
  // Which of them is rank 1, its environment says.
  for (const ::pid_t rank : ranks) {
    const std::string environment = read_file("/proc/" + std::to_string(rank) + "/environ");
    const bool second = environment.find("OMPI_COMM_WORLD_RANK=1") != std::string::npos ||
                        environment.find("PMI_RANK=1") != std::string::npos;
    if (second) ::kill(rank, SIGSTOP);
  }
  const Result result = job.wait();
  EXPECT_NE(result.code, 0);
  EXPECT_NE(result.err.find("no answer for " + seconds + " s from rank 1"), std::string::npos)
      << result.err;
}

}  // namespace
}  // namespace exciton::ranks::testing
