/// Bad input: one clear line, a non-zero exit, and nothing already saved is lost.
#include <gtest/gtest.h>
#include <unistd.h>
#include <algorithm>

#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir_ / "data");
    write_tiny_recipe(recipe(), dir_ / "data");
  }
  std::string recipe() const { return (dir_ / "recipe.json").string(); }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  /// Training into a fresh folder fails so, and leaves no folder.
  void expect_train_failure(std::vector<std::string> more,
                            const std::vector<std::string>& parts) const {
    std::vector<std::string> arguments{"train", recipe(), "--out", path("new")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_failure(arguments, parts);
    EXPECT_FALSE(fs::exists(path("new"))) << "a run that never began leaves nothing behind";
  }

  TempDir dir_;
};

TEST_F(BadInput, truncated_batch_file) {
  write_file(dir_ / "cifar/data_batch_1.bin", std::string(3073 * 100, '\0'));
  for (const char* name : {"2", "3", "4", "5"})
    write_file(dir_ / ("cifar/data_batch_" + std::string(name) + ".bin"), "");
  write_file(dir_ / "cifar/test_batch.bin", "");
  expect_train_failure({"--set", "data.kind=cifar10", "--data", path("cifar")},
                       {"data_batch_1.bin", "30730000", "307300"});

  const std::string images = read_file(dir_ / "data/train-images-idx3-ubyte");
  write_file(dir_ / "data/train-images-idx3-ubyte", images.substr(0, images.size() - 1));
  expect_train_failure({}, {"train-images-idx3-ubyte", "truncated"});
}

TEST_F(BadInput, wrong_label_byte) {
  std::string labels = read_file(dir_ / "data/train-labels-idx1-ubyte");
  labels[8 + 5] = 77;
  write_file(dir_ / "data/train-labels-idx1-ubyte", labels);
  expect_train_failure({}, {"train-labels-idx1-ubyte", "record 5", "77"});
}

TEST_F(BadInput, empty_folder) {
  fs::create_directory(path("empty"));
  expect_train_failure({"--data", path("empty")}, {path("empty")});
  expect_train_failure({"--data", path("empty"), "--set", "data.kind=auto"}, {path("empty")});
  expect_train_failure({"--data", path("nowhere")}, {path("nowhere"), "exciton data fetch"});
}

TEST_F(BadInput, files_that_are_no_recipe_and_no_folder) {
  const std::string tar(257, 'x');
  write_file(dir_ / "base.zip", std::string("PK\x03\x04", 4));
  write_file(dir_ / "base.tar", tar + "ustar");
  write_file(dir_ / "base.safetensors", "........{}");
  write_file(dir_ / "photo.png", "\x89PNG\r\n\x1a\n");
  expect_failure({"train", path("base.zip")}, {"base.zip is a zip archive", "unpack it"});
  expect_failure({"train", path("base.tar")}, {"base.tar is a tar archive", "unpack it"});
  expect_failure({"train", path("photo.png")},
                 {"photo.png is an image", "a folder for each class"});
  expect_failure({"train", path("base.safetensors")},
                 {"a file of weights", "finetune DIR --from", "base.safetensors"});
  expect_failure({"data", "info", path("base.tar")}, {"a tar archive; unpack it", "train.tar"});
  expect_failure({"data", "info", recipe()}, {"it is a file"});
  expect_train_failure({"--data", path("base.zip")}, {"base.zip is a zip archive", "unpack it"});
}

TEST_F(BadInput, options_that_are_none) {
  expect_failure({"--foo"}, {"no option --foo"}, 2);
  expect_failure({"eval", "--jsn"}, {"no option --jsn", "did you mean --json?"}, 2);
  expect_failure({"recipes", "--dir"}, {"--dir: expected DIR behind it, got nothing"}, 2);
  expect_failure({"recipes", "--dir", path("none")}, {"--dir: ", "none is not there"});
  expect_failure({"recipes", "--dir", recipe()}, {"recipe.json is no folder"});
}

TEST_F(BadInput, unknown_recipe_key) {
  expect_train_failure({"--set", "schedule.learning_rate=1"},
                       {"unknown key schedule.learning_rate"});
  expect_train_failure({"--set", "optimizer.momentun=0.5"}, {"did you mean momentum?"});
}

TEST_F(BadInput, wrong_value_type) {
  expect_train_failure({"--set", "epochs=many"},
                       {"epochs: expected an integer from 1 to 1000000, got a string (\"many\")"});
  write_file(recipe(), "{\"model\": {\"name\": \"resnet20\"},}");
  expect_train_failure({}, {recipe(), "line 1"});
}

TEST_F(BadInput, unknown_model) {
  expect_train_failure({"--set", "model.name=se_resnet21"}, {"se_resnet21", "se_resnet20"});
  expect_failure({"summary", "se_resnet21"}, {"se_resnet20"});
}

TEST_F(BadInput, batch_larger_than_the_train_set) {
  expect_train_failure({"--set", "data.batch=65", "--set", "data.last_batch=drop"},
                       {"64 images", "less than one batch of 65"});
}

TEST_F(BadInput, type_that_no_network_runs_in) {
  expect_train_failure({"--set", "dtype=f16"}, {"f16", "bf16"});
}

TEST_F(BadInput, occupied_folder_is_not_touched) {
  write_file(dir_ / "run/notes.txt", "mine");
  expect_failure({"train", recipe(), "--out", path("run")}, {"not empty", "--resume", "--out"});
  EXPECT_EQ(read_file(dir_ / "run/notes.txt"), "mine");
}

TEST_F(BadInput, resume_under_another_recipe) {
  succeed({"train", recipe(), "--out", path("run")});
  expect_failure({"train", recipe(), "--out", path("run"), "--resume", "--set", "schedule.lr=0.1"},
                 {"schedule.lr", "0.05", "0.1"});
  expect_failure({"train", path("run")}, {"--resume"});
}

TEST_F(BadInput, checkpoint_of_another_model) {
  succeed({"train", recipe(), "--out", path("run")});
  write_tiny_recipe(recipe(), dir_ / "data", "resnet20");
  succeed({"train", recipe(), "--out", path("plain")});
  fs::copy_file(path("plain/checkpoints/epoch-0002.ckpt"), path("run/checkpoints/epoch-0007.ckpt"));
  expect_failure({"train", path("run"), "--resume"},
                 {"recipe.json", "model.name", "se_resnet20", "epoch-0007.ckpt", "\"resnet20\""});
}

TEST_F(BadInput, flipped_byte_in_a_checkpoint) {
  succeed({"train", recipe(), "--out", path("run")});
  const std::string file = path("run/checkpoints/epoch-0002.ckpt");
  std::string bytes = read_file(file);
  bytes[bytes.size() - 1000] = static_cast<char>(bytes[bytes.size() - 1000] ^ 4);
  write_file(file, bytes);
  expect_failure({"eval", file}, {file, "checksum"});
  expect_failure({"predict", file, "x.png"}, {file, "checksum"});
}

TEST_F(BadInput, all_checkpoints_damaged) {
  succeed({"train", recipe(), "--out", path("run")});
  for (const auto& entry : fs::directory_iterator(path("run/checkpoints")))
    write_file(entry.path(), "rubbish");
  const Result result = run({"train", path("run"), "--resume"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("none of the 3 checkpoints"), std::string::npos) << result.err;
}

TEST_F(BadInput, read_only_output_folder) {
  // Where a folder should be there is a file: no user may write below it, not even root.
  write_file(dir_ / "file", "mine");
  expect_failure({"train", recipe(), "--out", path("file/run")}, {path("file/run")});
  expect_failure({"train", recipe(), "--out", path("file")}, {path("file"), "is a file"});
  EXPECT_EQ(read_file(dir_ / "file"), "mine");
}

TEST_F(BadInput, read_only_output_folder_by_permission) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::create_directory(path("locked"));
  fs::permissions(path("locked"), fs::perms::owner_read | fs::perms::owner_exec);
  expect_failure({"train", recipe(), "--out", path("locked/run")}, {"Permission denied"});
}

TEST_F(BadInput, full_disk) {
  succeed({"train", recipe(), "--out", path("run"), "--epochs", "2"});
  const std::string before = read_file(dir_ / "run/checkpoints/epoch-0002.ckpt");
  const std::vector<std::string> longer{"train", path("run"), "--resume", "--epochs", "3"};
  expect_failure(longer, {"cannot write", "epoch-0003.ckpt", "--resume"}, 1, before.size() / 2);
  EXPECT_EQ(read_file(dir_ / "run/checkpoints/epoch-0002.ckpt"), before);
  EXPECT_FALSE(fs::exists(path("run/checkpoints/epoch-0003.ckpt")));
  EXPECT_FALSE(fs::exists(path("run/checkpoints/epoch-0003.ckpt.tmp"))) << "gives the space back";
  succeed(longer);
  EXPECT_EQ(read_log(path("run")).size(), 3u);
}

TEST_F(BadInput, full_disk_at_the_log) {
  succeed({"train", recipe(), "--out", path("run")});
  const std::vector<std::string> longer{"train", path("run"), "--resume", "--epochs", "3"};
  const auto log_bytes = fs::file_size(path("run/log.jsonl"));
  const auto others = std::max(fs::file_size(path("run/recipe.json")),
                               fs::file_size(path("run/checkpoints/epoch-0002.ckpt")));
  ASSERT_LT(log_bytes, others);
  // Room for the two old lines and for every other file, not for a third line after padding the
  // log.
  std::string log = read_file(dir_ / "run/log.jsonl");
  log.insert(log.find("{") + 1,
             "\"note\":\"" + std::string(others - log_bytes + 1000, '-') + "\",");
  write_file(dir_ / "run/log.jsonl", log);
  expect_failure(longer, {"cannot write", "log.jsonl"}, 1,
                 fs::file_size(path("run/log.jsonl")) + 9);
  succeed(longer);
  EXPECT_EQ(read_log(path("run")).size(), 3u);
}

TEST_F(BadInput, nan_loss) {
  succeed({"train", recipe(), "--out", path("run"), "--set", "schedule.name=step", "--set",
           "schedule.step_epochs=2", "--set", "schedule.gamma=1e30"});
  const std::string before = read_file(dir_ / "run/checkpoints/epoch-0002.ckpt");
  expect_failure({"train", path("run"), "--resume", "--epochs", "4"},
                 {"loss is", "epoch 3", "schedule.lr", "epoch-0002.ckpt"});
  EXPECT_EQ(read_file(dir_ / "run/checkpoints/epoch-0002.ckpt"), before);
  EXPECT_FALSE(fs::exists(path("run/checkpoints/epoch-0003.ckpt")));
  EXPECT_EQ(read_log(path("run")).size(), 2u);
}

TEST_F(BadInput, predict_on_what_is_no_image) {
  succeed({"train", recipe(), "--out", path("run")});
  write_file(dir_ / "x.png", "not an image");
  expect_failure({"predict", path("run"), path("x.png")}, {path("x.png")});
  expect_failure({"predict", path("run"), path("none.png")}, {path("none.png")});
}

TEST_F(BadInput, eval_on_what_is_no_run) {
  expect_failure({"eval", path("nowhere")}, {path("nowhere")});
  expect_failure({"eval", path("data")}, {"no checkpoint in"});
  expect_failure({"eval", recipe()}, {recipe(), "not an Exciton checkpoint"});
}

TEST_F(BadInput, download_from_nowhere) {
  expect_failure(
      {"data", "fetch", "cifar10", "--dir", path("d"), "--url", "file://" + path("nowhere") + "/"},
      {"cifar-10-binary.tar.gz"});
}

TEST_F(BadInput, wrong_usage_has_its_own_exit_code) {
  expect_failure({}, {"--help"}, 2);
  expect_failure({"train"}, {"RECIPE", "exciton train --help"}, 2);
  expect_failure({"train", recipe(), "--frobnicate"}, {"--frobnicate"}, 2);
  expect_failure({"bench", "sleep", "resnet20"}, {"sleep"}, 2);
  expect_failure({"data", "fetch", "cifar11", "--dir", path("d")},
                 {"cifar11", "exciton data fetch --help"}, 2);
}

}  // namespace
}  // namespace exciton::apps::testing
