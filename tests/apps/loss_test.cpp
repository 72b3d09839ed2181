/// A run is not lost: not by a damaged file, ruined weights, another process, a signal or a resume
/// with other data than it was trained on.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;

class Loss : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir_ / "data");
    write_tiny_recipe(recipe(), dir_ / "data");
  }
  std::string recipe() const { return path("recipe.json"); }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::string checkpoint(const std::string& run, const std::string& name) const {
    return path(run + "/checkpoints/" + name + ".ckpt");
  }
  std::vector<std::string> command(const std::string& run, std::vector<std::string> more) const {
    std::vector<std::string> words{"train", recipe(), "--out", path(run)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Result train(const std::string& run, std::vector<std::string> more = {}) const {
    return succeed(command(run, std::move(more)));
  }
  void damage(const std::string& file) const {
    std::string bytes = read_file(file);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    write_file(file, bytes);
  }

  TempDir dir_;
};

TEST_F(Loss, a_damaged_newest_checkpoint_is_no_dead_end) {
  train("whole", {"--epochs", "4"});
  const std::vector<std::string> few{
      "--epochs", "4", "--set", "checkpoint.keep_last=1", "--set", "checkpoint.keep_best=false"};
  auto longer = few;
  train("run", {"--epochs", "2", "--set", "checkpoint.keep_last=2", "--set",
                "checkpoint.keep_best=false", "--set", "checkpoint.every_epochs=1"});
  // One that is newer than all that this run will write, and damaged.
  fs::copy_file(checkpoint("run", "epoch-0002"), checkpoint("run", "epoch-0009"));
  damage(checkpoint("run", "epoch-0009"));
  damage(checkpoint("run", "epoch-0002"));
  longer.push_back("--resume");
  const Result resumed = run(command("run", longer));
  // The number of epochs differs from the first start's, so the schedule does: only that it ends.
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", "epoch-0004")));
  EXPECT_NO_THROW(train::read_checkpoint(checkpoint("run", "epoch-0004")));
  EXPECT_FALSE(fs::exists(checkpoint("run", "epoch-0003"))) << "keep_last is 1";
}

TEST_F(Loss, ruined_weights_replace_nothing) {
  // The first steps are calm, then the rate is beyond all bounds: a finite loss, ruined weights.
  const Result result =
      run(command("run", {"--set",
                          "schedule={\"name\":\"multistep\",\"lr\":1e-6,"
                          "\"milestones\":[0.75],\"gamma\":1e44}",
                          "--set", "checkpoint.every_steps=1", "--set", "checkpoint.keep_last=1"}));
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("last good checkpoint"), std::string::npos) << result.err;
  int found = 0;
  for (const auto& entry : fs::directory_iterator(path("run/checkpoints"))) {
    const train::Checkpoint stored = train::read_checkpoint(entry.path());
    EXPECT_EQ(stored.first_not_finite(), nullptr) << entry.path();
    ++found;
  }
  EXPECT_GE(found, 1);
}

TEST_F(Loss, a_resume_looks_at_the_data) {
  train("run");
  write_tiny_data(dir_ / "more", 80, 32);
  expect_failure(command("run", {"--resume", "--epochs", "3", "--data", path("more")}),
                 {"other data", "64 train images", "80", "--out"});
  write_tiny_data(dir_ / "swapped");
  std::string labels = read_file(dir_ / "swapped/train-labels-idx1-ubyte");
  std::swap(labels[8], labels[9]);
  write_file(dir_ / "swapped/train-labels-idx1-ubyte", labels);
  expect_failure(command("run", {"--resume", "--epochs", "3", "--data", path("swapped")}),
                 {"other data", "train images have other names, labels or pixels"});
  // The same images elsewhere are the same.
  fs::rename(path("data"), path("moved"));
  train("run", {"--resume", "--epochs", "3", "--data", path("moved")});
}

TEST_F(Loss, a_resume_looks_at_the_recipe) {
  train("run");
  const std::string stored = read_file(path("run/recipe.json"));
  train::Json edited = train::Json::parse(stored);
  edited["optimizer"]["weight_decay"] = 0.25;
  write_file(path("run/recipe.json"), edited.dump());
  expect_failure({"train", path("run"), "--resume", "--epochs", "3"},
                 {"recipe.json", "optimizer.weight_decay", "0.25"});
  // Without it the checkpoint's own copy counts.
  fs::remove(path("run/recipe.json"));
  const Result result = succeed({"train", path("run"), "--resume", "--epochs", "3"});
  EXPECT_NE(result.out.find("No recipe.json"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("the learning rate was"), std::string::npos)
      << "a schedule drawn anew is told: " << result.out;
  EXPECT_EQ(read_log(path("run")).size(), 3u);
  expect_failure({"train", path("run"), "--resume", "--epochs", "1"}, {"has trained 3 epochs"});
}

TEST_F(Loss, a_folder_that_is_no_run_is_not_touched) {
  write_file(path("mine/notes.tmp"), "notes");
  write_file(path("mine/log.jsonl"), "my own log");
  expect_failure(command("mine", {"--resume"}), {path("mine"), "no run folder"});
  EXPECT_EQ(read_file(path("mine/notes.tmp")), "notes");
  EXPECT_EQ(read_file(path("mine/log.jsonl")), "my own log");
  // Nor what lies beside a run's own files.
  train("run", {"--epochs", "1"});
  write_file(path("run/notes.tmp"), "notes");
  write_file(path("run/checkpoints/other.tmp"), "other");
  train("run", {"--epochs", "2", "--resume"});
  EXPECT_EQ(read_file(path("run/notes.tmp")), "notes");
  EXPECT_EQ(read_file(path("run/checkpoints/other.tmp")), "other");
}

TEST_F(Loss, damaged_lines_of_the_log_are_kept_and_told) {
  train("run");
  const std::string log = read_file(path("run/log.jsonl"));
  const std::size_t line = log.find('\n') + 1;
  write_file(path("run/log.jsonl"), "dam{aged\n" + log.substr(line));
  const Result result = run({"train", path("run"), "--resume", "--epochs", "3"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("line 1 is damaged"), std::string::npos) << result.err;
  const std::string after = read_file(path("run/log.jsonl"));
  EXPECT_EQ(after.rfind("dam{aged\n", 0), 0u);
  EXPECT_NE(after.find("\"epoch\":3"), std::string::npos);
}

TEST_F(Loss, two_processes_do_not_share_a_folder) {
  write_tiny_data(dir_ / "data", 640, 32);
  Process first(command("run", {"--epochs", "4"}));
  while (first.running() && !fs::exists(path("run/log.jsonl")))
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  expect_failure(command("run", {"--resume", "--epochs", "4"}),
                 {"in use by another process", path("run")});
  EXPECT_EQ(first.wait().code, 0);
  EXPECT_EQ(read_log(path("run")).size(), 4u);
}

TEST_F(Loss, signals_that_ask_for_the_end_save_first) {
  write_tiny_data(dir_ / "data", 640, 32);
  train("whole", {"--epochs", "3"});
  for (const int number : {SIGHUP, SIGTERM, SIGXCPU, SIGUSR1, SIGUSR2}) {
    const std::string run = "run" + std::to_string(number);
    Process process(command(run, {"--epochs", "3"}));
    while (process.running() && !fs::exists(path(run + "/log.jsonl")))
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    process.signal(number);
    const Result stopped = process.wait();
    EXPECT_EQ(stopped.code, 130) << number << ": " << stopped.err;
    EXPECT_NE(stopped.out.find("--resume"), std::string::npos) << stopped.out;
    train(run, {"--epochs", "3", "--resume"});
    expect_same_tensors(checkpoint("whole", "epoch-0003"), checkpoint(run, "epoch-0003"));
  }
}

TEST_F(Loss, a_reader_that_leaves_ends_nothing) {
  const std::string line = std::string(EXCITON_PROGRAM) + " train " + recipe() + " --out " +
                           path("run") + " 2> /dev/null | head -1 > /dev/null";
  EXPECT_EQ(std::system(line.c_str()), 0);
  EXPECT_TRUE(fs::exists(checkpoint("run", "epoch-0002")));
}

TEST_F(Loss, named_pipes_are_refused_at_once) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  expect_failure({"train", path("pipe"), "--out", path("run")}, {path("pipe"), "pipe"});
  expect_failure({"eval", path("pipe")}, {path("pipe"), "pipe"});
  train("run");
  expect_failure({"predict", path("run"), path("pipe")}, {path("pipe"), "pipe"});
}

TEST_F(Loss, a_pruned_run_never_looks_whole_without_its_weights) {
  train("run");
  succeed({"prune", path("run"), "--keep", "0.5", "--out", path("small"), "--fine-tune", "1"});
  // As if it had been cut short after the first of its files: that is the checkpoint.
  fs::create_directories(path("cut/checkpoints"));
  fs::copy_file(checkpoint("small", "epoch-0000"), checkpoint("cut", "epoch-0000"));
  succeed({"train", path("cut"), "--resume"});
  expect_same_tensors(checkpoint("small", "epoch-0001"), checkpoint("cut", "epoch-0001"));
}

}  // namespace
}  // namespace exciton::apps::testing
