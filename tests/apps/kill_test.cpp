/// Twenty times SIGKILL, half of them while a checkpoint is being written: every resume goes on,
/// and all ends in the bits of the run that nobody disturbed.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "exciton/core/random.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

bool is_writing(const fs::path& checkpoints) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(checkpoints, error))
    if (entry.path().extension() == ".tmp") return true;
  return false;
}

struct Kind {
  const char* name;
  std::vector<std::string> settings;  ///< of the calls that are killed
  std::vector<std::string> before;    ///< of one that is not, and ends before; none: there is none
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class Kill : public ::testing::TestWithParam<Kind> {};

TEST_P(Kill, twenty_random_kills_end_in_the_same_bits) {
  const TempDir dir;
  write_tiny_data(dir / "data", 160, 32);
  write_tiny_recipe(dir / "recipe.json", dir / "data");
  const auto call = [&](const fs::path& out, const std::vector<std::string>& settings) {
    std::vector<std::string> arguments{"train", (dir / "recipe.json").string(), "--out",
                                       out.string(), "--resume"};
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    return arguments;
  };
  const auto begin = [&](const fs::path& out) {
    if (!GetParam().before.empty()) succeed(call(out, GetParam().before));
  };
  const auto train_into = [&](const fs::path& out) { return call(out, GetParam().settings); };
  begin(dir / "whole");
  const Clock::time_point start = Clock::now();
  succeed(train_into(dir / "whole"));
  const auto whole_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();

  Generator rng(2026);
  int kills = 0, kills_while_writing = 0, runs = 0;
  while (kills < 20) {
    const fs::path out = dir / ("run" + std::to_string(runs++));
    begin(out);
    // At most seven kills a run, so that several whole runs are compared.
    for (int i = 0; i < 7 && kills < 20; ++i) {
      Process process(train_into(out));
      if (kills % 2 == 0) {
        // Some way into the run, at the next sight of a temporary file.
        const auto after =
            std::chrono::milliseconds(rng.below(static_cast<std::uint64_t>(whole_ms) / 2 + 1));
        std::this_thread::sleep_for(after);
        while (process.running() && !is_writing(out / "checkpoints")) {
        }
      } else {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(rng.below(static_cast<std::uint64_t>(whole_ms) + 1)));
      }
      const bool alive = process.running();
      process.signal(SIGKILL);
      const Result result = process.wait();
      if (!alive || result.code != 128 + SIGKILL) {
        ASSERT_EQ(result.code, 0) << "a resume failed: " << result.err;
        break;  // it was done before the kill came
      }
      ++kills;
      kills_while_writing += is_writing(out / "checkpoints");
    }
    const Result last = succeed(train_into(out));
    ASSERT_EQ(last.code, 0);
    expect_same_tensors(dir / "whole/checkpoints/epoch-0003.ckpt",
                        out / "checkpoints/epoch-0003.ckpt");
    expect_same_tensors(dir / "whole/checkpoints/best.ckpt", out / "checkpoints/best.ckpt");
    const auto a = read_log(dir / "whole"), b = read_log(out);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
      for (const char* key : {"epoch", "train_loss", "train_top1", "test_loss", "test_top1",
                              "val_loss", "val_macro_recall", "skipped_steps", "lr"})
        EXPECT_EQ(a[i].value(key, train::Json()), b[i].value(key, train::Json()))
            << key << " of epoch " << i + 1;
  }
  EXPECT_GE(kills_while_writing, 3) << "of " << kills << " kills";
  RecordProperty("kills", kills);
  RecordProperty("kills_while_writing", kills_while_writing);
  RecordProperty("runs", runs);
}

INSTANTIATE_TEST_SUITE_P(
    Runs, Kill,
    ::testing::Values(Kind{"plain", {"--epochs", "3", "--set", "checkpoint.every_steps=2"}, {}},
                      Kind{"habits",
                           {"--epochs", "3",
                            "--set",    "checkpoint.every_steps=2",
                            "--set",    "data.validation=0.2",
                            "--set",    "early_stopping.patience=2",
                            "--set",    "early_stopping.metric=loss",
                            "--set",    "checkpoint.best_by=macro_recall",
                            "--set",    "accumulate=2",
                            "--set",    "data.batch=8",
                            "--set",    "clip_norm=0.5",
                            "--set",    "clip_value=0.1",
                            "--set",    "data.sampler=balanced",
                            "--set",    "class_weights=balanced"},
                           {}},
                      Kind{"speedrun",
                           {"--epochs", "3", "--set", "checkpoint.every_steps=2", "--set",
                            "data.validation=0.2", "--set",
                            "model={\"name\":\"se_speednet94\",\"widths\":[8,8,8]}", "--set",
                            "data.image_size=16", "--set",
                            "data.augment={\"pad_crop\":2,\"padding_mode\":\"reflect\","
                            "\"flip\":\"alternating\"}",
                            "--set", "optimizer={\"name\":\"muon\",\"momentum\":0.6}", "--set",
                            "parameter_groups=[{\"names\":\"whiten.bias\",\"optimizer\":\"sgd\","
                            "\"epochs\":2},{\"names\":\"*.bias\",\"optimizer\":\"sgd\"}]"},
                           {}},
                      // Every call after a kill asks for the change again, which is none any more.
                      Kind{"changed course",
                           {"--epochs", "3", "--set", "checkpoint.every_steps=2", "--change",
                            "--set", "schedule.lr=0.01", "--set", "data.augment.flip=false"},
                           {"--epochs", "1"}}),
    [](const auto& kind) {
      std::string name = kind.param.name;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

}  // namespace
}  // namespace exciton::apps::testing
