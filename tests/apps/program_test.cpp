/// The program as its user sees it, on tiny data.
#include <gtest/gtest.h>
#include <png.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>

#include "exciton/train/recipe_json.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;

/// Tiny data, a recipe, and a run folder to be made.
class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir_ / "data");
    write_tiny_recipe(recipe(), dir_ / "data");
  }
  std::string recipe() const { return (dir_ / "recipe.json").string(); }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  /// Trains into the folder `name` with more arguments.
  Result train(const std::string& name, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"train", recipe(), "--out", path(name)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return succeed(arguments);
  }
  std::string last(const std::string& name, const std::string& file = "epoch-0002.ckpt") const {
    return path(name + "/checkpoints/" + file);
  }

  TempDir dir_;
};

void write_png(const std::string& path, int width, int height, int channels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width * height * channels), 120);
  ASSERT_NE(png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr), 0);
}

TEST_F(Program, proposes_commands_that_run_as_printed) {
  const Result result = train("it's a run");
  const auto at = result.out.find("\n  ", result.out.find("Try next"));
  ASSERT_NE(at, std::string::npos) << result.out;
  // The words after the command are for people: a column of explanations.
  const std::string line = result.out.substr(at + 3, result.out.find("    ", at + 3) - at - 3);
  EXPECT_EQ(std::system((line + " > /dev/null").c_str()), 0) << line;
  EXPECT_NE(line.find(" eval "), std::string::npos) << line;
}

TEST_F(Program, trains_and_leaves_a_run_folder) {
  const Result result = train("run", {"--verbose"});
  for (const char* part : {"se_resnet20", "epoch 1/2", "epoch 2/2", "test top-1", "exciton eval",
                           "exciton predict", "exciton summary"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " in " << result.out;

  const train::Json resolved = train::read_json(path("run/recipe.json"));
  EXPECT_EQ(resolved["model"]["classes"], 10);
  EXPECT_EQ(resolved["threads"], 1);
  EXPECT_EQ(resolved["optimizer"]["momentum"], 0.9);
  EXPECT_EQ(to_json(train::recipe_from(resolved)), resolved);

  const std::vector<train::Json> log = read_log(path("run"));
  ASSERT_EQ(log.size(), 2u);
  for (int i = 0; i < 2; ++i) {
    const train::Json& line = log[static_cast<std::size_t>(i)];
    EXPECT_EQ(line["epoch"], i + 1);
    for (const char* key : {"train_loss", "train_top1", "test_loss", "test_top1", "test_top5", "lr",
                            "images_per_second", "seconds", "test_seconds", "data_wait_seconds",
                            "peak_rss_mib", "system_allocations"}) {
      ASSERT_TRUE(line[key].is_number()) << key;
      EXPECT_GE(line[key].get<double>(), 0) << key;
    }
    EXPECT_LE(line["test_top1"].get<double>(), line["test_top5"].get<double>());
    EXPECT_GT(line["peak_rss_mib"].get<double>(), 1);
  }
  EXPECT_TRUE(fs::exists(last("run", "epoch-0001.ckpt")));
  EXPECT_TRUE(fs::exists(last("run")));
  const int best = log[1]["test_top1"].get<double>() > log[0]["test_top1"].get<double>() ? 2 : 1;
  expect_same_tensors(last("run", "best.ckpt"),
                      last("run", best == 1 ? "epoch-0001.ckpt" : "epoch-0002.ckpt"));
}

/// 64 images: 2 of 31 and the 2 that are left; with 63 images one is left, which nobody can train
/// on.
TEST_F(Program, trains_on_the_incomplete_last_batch) {
  const Result all = train("all", {"--set", "data.batch=31"});
  EXPECT_NE(all.out.find("2 epochs of 3 steps"), std::string::npos) << all.out;
  EXPECT_EQ(all.out.find("leaves out"), std::string::npos) << all.out;
  EXPECT_EQ(read_log(path("all"))[0]["left_out_images"], 0);

  const Result single = train("single", {"--set", "data.batch=21"});
  EXPECT_NE(single.out.find("Each epoch leaves out 1 image"), std::string::npos) << single.out;
  EXPECT_NE(single.out.find("2 epochs of 3 steps"), std::string::npos) << single.out;
  EXPECT_EQ(read_log(path("single"))[1]["left_out_images"], 1);

  const Result drop = train("drop", {"--set", "data.batch=31", "--set", "data.last_batch=drop"});
  EXPECT_NE(drop.out.find("2 epochs of 2 steps"), std::string::npos) << drop.out;
  EXPECT_NE(drop.out.find("Each epoch leaves out 2 images"), std::string::npos) << drop.out;
  EXPECT_EQ(read_log(path("drop"))[1]["left_out_images"], 2);

  const Result small = train("small", {"--set", "data.batch=128"});
  EXPECT_NE(small.out.find("2 epochs of 1 steps"), std::string::npos) << small.out;
  expect_failure({"train", recipe(), "--out", path("none"), "--set", "data.batch=128", "--set",
                  "data.last_batch=drop"},
                 {"64 images", "batch of 128", "data.last_batch \"train\""});
}

TEST_F(Program, learns) {
  // Brightness tells the classes of the tiny data apart, so a net that learns beats chance, 10 %.
  write_tiny_data(dir_ / "data", 320, 100);
  train("run", {"--epochs", "8"});
  const std::vector<train::Json> log = read_log(path("run"));
  EXPECT_GT(log.back()["test_top1"].get<double>(), 0.5);
  EXPECT_LT(log.back()["train_loss"].get<double>(), log.front()["train_loss"].get<double>());
}

TEST_F(Program, steady_state_takes_no_memory_from_the_system) {
  train("run", {"--epochs", "4"});
  const std::vector<train::Json> log = read_log(path("run"));
  ASSERT_EQ(log.size(), 4u);
  for (std::size_t i = 2; i < 4; ++i) EXPECT_EQ(log[i]["system_allocations"], 0) << log[i].dump();
}

TEST_F(Program, same_seed_same_bits_whatever_the_workers) {
  train("a");
  train("b", {"--set", "data.workers=3"});
  train("c", {"--set", "data.workers=0"});
  train("d", {"--seed", "2"});
  expect_same_tensors(last("a"), last("b"));
  expect_same_tensors(last("a"), last("c"));
  EXPECT_NE(read_log(path("a"))[0]["train_loss"], read_log(path("d"))[0]["train_loss"]);
}

TEST_F(Program, dtype_is_an_option_of_train) {
  train("f32");
  train("bf16", {"--dtype", "bf16"});
  EXPECT_EQ(train::read_json(path("bf16/recipe.json"))["dtype"], "bf16");
  const double f32 = read_log(path("f32"))[0]["train_loss"],
               bf16 = read_log(path("bf16"))[0]["train_loss"];
  EXPECT_NE(bf16, f32);
  EXPECT_NEAR(bf16, f32, 0.02 * f32);
}

TEST_F(Program, same_seed_same_bits_on_two_threads) {
  train("a", {"--threads", "2"});
  train("b", {"--threads", "2"});
  expect_same_tensors(last("a"), last("b"));
}

TEST_F(Program, keeps_the_last_and_the_best) {
  train("run", {"--epochs", "5", "--set", "checkpoint.keep_last=2"});
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path("run/checkpoints")))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"best.ckpt", "epoch-0004.ckpt", "epoch-0005.ckpt"}));
}

TEST_F(Program, nothing_chooses_where_there_is_only_the_official_test) {
  const Result result = train("run", {"--set", "data.validation=auto"});
  EXPECT_NE(result.out.find("Nothing chooses among the epochs"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("; best "), std::string::npos) << result.out;
  EXPECT_FALSE(fs::exists(path("run/checkpoints/best.ckpt")));
  EXPECT_TRUE(read_log(path("run")).back().contains("test_top1"));
  expect_failure({"eval", path("run/checkpoints/best.ckpt")}, {"data.validation"});
  const Result held = train("held", {"--set", "data.validation=0.25"});
  EXPECT_NE(held.out.find("20 of Fashion-MNIST train"), std::string::npos) << held.out;
  EXPECT_TRUE(fs::exists(path("held/checkpoints/best.ckpt")));
  EXPECT_EQ(train::read_json(path("held/result.json"))["images"], 32);
}

TEST_F(Program, averaged_weights_are_evaluated) {
  train("run", {"--set", "ema_decay=0.5"});
  const train::Json result = train::Json::parse(succeed({"eval", path("run"), "--json"}).out);
  EXPECT_DOUBLE_EQ(result["loss"].get<double>(), read_log(path("run"))[1]["test_loss"]);
}

TEST_F(Program, adamw_resumes_in_the_same_bits) {
  const std::vector<std::string> adamw{
      "--epochs", "3", "--set", "optimizer.name=adamw", "--set", "schedule.lr=0.003"};
  train("whole", adamw);
  train("run", adamw);
  fs::remove(last("run", "epoch-0003.ckpt"));
  succeed({"train", path("run"), "--resume"});
  expect_same_tensors(last("whole", "epoch-0003.ckpt"), last("run", "epoch-0003.ckpt"));
  const auto log = read_log(path("run"));
  EXPECT_LT(log[2]["train_loss"].get<double>(), log[0]["train_loss"].get<double>());
  // Another optimiser is another run.
  expect_failure({"train", recipe(), "--out", path("run"), "--epochs", "3", "--resume"},
                 {"optimizer.", "adamw"});
}

TEST_F(Program, norms_are_frozen_in_the_last_epochs) {
  const std::vector<std::string> frozen{"--epochs", "3", "--set", "freeze_norm_epochs=2"};
  train("whole", frozen);
  const auto differs = [&](const std::string& part, const char* a, const char* b) {
    const train::Checkpoint one = train::read_checkpoint(last("whole", a)),
                            two = train::read_checkpoint(last("whole", b));
    int compared = 0, different = 0;
    for (std::size_t i = 0; i < one.tensors.size(); ++i) {
      const auto& [name, tensor] = one.tensors[i];
      if (name.find(part) == std::string::npos) continue;
      ++compared;
      different += std::memcmp(tensor.raw(), two.tensors[i].tensor.raw(), tensor.bytes()) != 0;
    }
    EXPECT_GT(compared, 10) << part;
    return different;
  };
  EXPECT_EQ(differs("running_", "epoch-0001.ckpt", "epoch-0003.ckpt"), 0);
  EXPECT_GT(differs("bn1.weight", "epoch-0001.ckpt", "epoch-0003.ckpt"), 0);
  // A stopped run knows where it is.
  train("run", frozen);
  fs::remove(last("run", "epoch-0003.ckpt"));
  succeed({"train", path("run"), "--resume"});
  expect_same_tensors(last("whole", "epoch-0003.ckpt"), last("run", "epoch-0003.ckpt"));
}

TEST_F(Program, interrupt_saves_and_resume_ends_in_the_same_bits) {
  write_tiny_data(dir_ / "data", 640, 32);
  train("whole", {"--epochs", "3"});
  Process process({"train", recipe(), "--out", path("run"), "--epochs", "3"});
  while (process.running() && !fs::exists(path("run/log.jsonl")))
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  process.signal(SIGINT);
  const Result stopped = process.wait();
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  EXPECT_NE(stopped.out.find("exciton train " + path("run") + " --resume"), std::string::npos)
      << stopped.out;
  const Result resumed = succeed({"train", path("run"), "--resume"});
  EXPECT_NE(resumed.out.find("Resuming from"), std::string::npos);
  expect_same_tensors(last("whole", "epoch-0003.ckpt"), last("run", "epoch-0003.ckpt"));
  const auto a = read_log(path("whole")), b = read_log(path("run"));
  ASSERT_EQ(b.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    for (const char* key : {"epoch", "train_loss", "train_top1", "test_loss", "test_top1", "lr"})
      EXPECT_EQ(a[i][key], b[i][key]) << key;
}

TEST_F(Program, resume_passes_over_a_damaged_checkpoint) {
  train("whole", {"--epochs", "3"});
  train("run", {"--epochs", "3"});
  std::string bytes = read_file(last("run", "epoch-0003.ckpt"));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file(last("run", "epoch-0003.ckpt"), bytes);
  const Result resumed = run({"train", path("run"), "--resume"});
  EXPECT_EQ(resumed.code, 0);
  EXPECT_NE(resumed.err.find("skipping"), std::string::npos) << resumed.err;
  EXPECT_NE(resumed.err.find("epoch-0003.ckpt"), std::string::npos) << resumed.err;
  EXPECT_NE(resumed.out.find("epoch-0002.ckpt"), std::string::npos) << resumed.out;
  expect_same_tensors(last("whole", "epoch-0003.ckpt"), last("run", "epoch-0003.ckpt"));
  EXPECT_EQ(read_log(path("run")).size(), 3u);
}

TEST_F(Program, resume_of_a_finished_run_says_so) {
  train("run");
  EXPECT_NE(succeed({"train", path("run"), "--resume"}).out.find("Nothing left to do"),
            std::string::npos);
  const std::string longer = succeed({"train", path("run"), "--resume", "--epochs", "3"}).out;
  EXPECT_NE(longer.find("epoch 3/3"), std::string::npos) << longer;
}

TEST_F(Program, eval_agrees_with_the_log) {
  train("run");
  const train::Json result = train::Json::parse(succeed({"eval", path("run"), "--json"}).out);
  const train::Json line = read_log(path("run"))[1];
  EXPECT_EQ(result["top1"], line["test_top1"]);
  EXPECT_EQ(result["top5"], line["test_top5"]);
  EXPECT_DOUBLE_EQ(result["loss"].get<double>(), line["test_loss"].get<double>());
  EXPECT_EQ(result["images"], 32);
  ASSERT_EQ(result["classes"].size(), 10u);
  double correct = 0;
  for (const train::Json& c : result["classes"])
    correct += c["top1"].get<double>() * c["images"].get<double>();
  EXPECT_NEAR(correct, result["top1"].get<double>() * 32, 1e-9);

  const train::Json first =
      train::Json::parse(succeed({"eval", last("run", "epoch-0001.ckpt"), "--json"}).out);
  EXPECT_EQ(first["top1"], read_log(path("run"))[0]["test_top1"]);
  const std::string table = succeed({"eval", path("run"), "--data", path("data")}).out;
  EXPECT_NE(table.find("Ankle boot"), std::string::npos) << table;
}

TEST_F(Program, eval_averages_crops_and_models) {
  train("a");
  train("b", {"--seed", "2"});
  const auto eval = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "eval");
    arguments.emplace_back("--json");
    return train::Json::parse(succeed(arguments).out);
  };
  const train::Json alone = eval({path("a")});
  // The middle of an image as large as the crop is the image; a model agrees with itself.
  for (const train::Json& same : {eval({path("a"), "--crop", "8"}), eval({path("a"), path("a")}),
                                  eval({path("a"), "--resize", "8"})}) {
    EXPECT_EQ(same["top1"], alone["top1"]);
    EXPECT_EQ(same["top5"], alone["top5"]);
    EXPECT_NEAR(same["loss"].get<double>(), alone["loss"].get<double>(), 1e-5);
    EXPECT_EQ(same["images"], 32);
  }
  const train::Json both = eval({path("a"), path("b"), "--resize", "10,12", "--crops", "10"});
  ASSERT_EQ(both["models"].size(), 2u);
  EXPECT_EQ(both["models"][1]["views"],
            train::Json::parse(R"({"resize": [10, 12], "crop": 8, "crops": 10})"));
  // The mean of probabilities is never worse than the worse of the two.
  const auto loss = [](const train::Json& j) { return j["loss"].get<double>(); };
  const train::Json mean = eval({path("a"), path("b")});
  EXPECT_LT(loss(mean), std::max(loss(alone), loss(eval({path("b")}))));
  const std::string text = succeed({"eval", path("a"), path("b"), "--resize", "12"}).out;
  for (const char* part : {"mean of the probabilities of 2 models",
                           "centre crop of 8 x 8, shorter side resized to 12"})
    EXPECT_NE(text.find(part), std::string::npos) << text;

  expect_failure({"eval", path("a"), "--crop", "9"},
                 {"eval: a crop of 9 x 9 from an image of 8 x 8", "--resize"});
  expect_failure({"eval", path("a"), "--crops", "5"}, {"--crops"}, 2);
  expect_failure({"eval", path("a"), path("none")}, {"there is no", path("none")});
}

TEST_F(Program, predict_takes_images_of_any_size_and_colour) {
  train("run");
  write_png(path("grey.png"), 8, 8, 1);
  write_png(path("colour.png"), 31, 17, 3);
  const train::Json result = train::Json::parse(
      succeed({"predict", path("run"), path("grey.png"), path("colour.png"), "--json"}).out);
  ASSERT_EQ(result.size(), 2u);
  for (const train::Json& image : result) {
    ASSERT_EQ(image["top5"].size(), 5u);
    double before = 1;
    for (const train::Json& guess : image["top5"]) {
      const double p = guess["probability"].get<double>();
      EXPECT_LE(p, before);
      EXPECT_GE(p, 0);
      before = p;
    }
  }
  EXPECT_EQ(result[0]["top5"], result[1]["top5"]) << "both are the same even grey";
  const std::string text = succeed({"predict", path("run"), path("grey.png")}).out;
  EXPECT_NE(text.find(" %  "), std::string::npos) << text;
}

TEST_F(Program, summary_has_the_published_counts) {
  const train::Json s = train::Json::parse(succeed({"summary", "se_resnet20", "--json"}).out);
  EXPECT_EQ(s["model"], "se_resnet20");
  EXPECT_EQ(s["parameters"], 274847);
  EXPECT_EQ(s["se_parameters"], 274847 - 272474);
  for (const char* key : {"multiply_adds", "se_multiply_adds", "activation_bytes"})
    EXPECT_GT(s[key].get<std::int64_t>(), 0) << key;
  std::int64_t parameters = 0;
  for (const train::Json& layer : s["layers"])
    parameters += layer["parameters"].get<std::int64_t>();
  EXPECT_EQ(parameters, 274847);
  const train::Json no_bias = train::Json::parse(
      succeed({"summary", "se_resnet20", "--set", "se.bias=false", "--json"}).out);
  EXPECT_EQ(no_bias["parameters"], 274490);
  const std::string table = succeed({"summary", "resnet20", "--classes", "100"}).out;
  EXPECT_NE(table.find("multiply-adds"), std::string::npos);
}

TEST_F(Program, recipes_lists_every_row_of_the_paper) {
  const train::Json all =
      train::Json::parse(succeed({"recipes", "--dir", EXCITON_RECIPES, "--json"}).out);
  std::map<std::string, int> rows;
  for (const train::Json& r : all) {
    if (!r.contains("paper")) continue;
    const train::Json& paper = r["paper"];
    EXPECT_GT(paper["top1_error"].get<double>() + paper["ap"].get<double>(), 0) << r.dump();
    ++rows[r["paper"]["table"].get<std::string>()];
  }
  EXPECT_EQ(rows, (std::map<std::string, int>{{"2", 16},
                                              {"3", 4},
                                              {"4", 8},
                                              {"5", 8},
                                              {"7", 2},
                                              {"8", 1},
                                              {"10", 6},
                                              {"11", 2},
                                              {"12", 3},
                                              {"13", 5},
                                              {"14", 4},
                                              {"15", 2},
                                              {"16", 3}}));
  EXPECT_EQ(
      static_cast<std::size_t>(std::count_if(
          fs::recursive_directory_iterator(EXCITON_RECIPES), fs::recursive_directory_iterator(),
          [](const fs::directory_entry& e) { return e.path().extension() == ".json"; })),
      all.size())
      << "none was skipped";
  const std::string table =
      succeed({"recipes", "table10_se_resnet50_r4", "--dir", EXCITON_RECIPES}).out;
  for (const char* part :
       {"paper/table10_se_resnet50_r4", "SE-ResNet-50, r = 4", "22.25", "6.09", "35.7", "35616808"})
    EXPECT_NE(table.find(part), std::string::npos) << part << " in " << table;
}

TEST_F(Program, recipes_counts_what_they_build) {
  // The quick ones; the models of the others are held to the same numbers by tests/nn.
  for (const std::string filter : {"table3", "preresnet110", "quickstart"}) {
    const train::Json all = train::Json::parse(
        succeed({"recipes", filter, "--dir", EXCITON_RECIPES, "--count", "--json"}).out);
    for (const train::Json& r : all) {
      const train::Json& counted = r["counted"];
      if (!r.contains("paper")) {
        EXPECT_EQ(counted["parameters"], 274847 - 2 * 9 * 16) << "one channel in place of three";
        continue;
      }
      EXPECT_EQ(counted["parameters"], r["paper"]["parameters"]) << r["name"];
      const double printed = r["paper"].value("gflops", 0.0);
      if (printed > 0) {
        EXPECT_NEAR(counted["multiply_adds"].get<double>() / 1e9, printed, 0.03 * printed);
      }
    }
  }
}

TEST_F(Program, unknown_commands_are_answered_with_the_near_one) {
  const auto says = [&](const std::vector<std::string>& words, const std::string& part) {
    const Result result = run(words);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  says({"trian"}, "no command trian; did you mean train?");
  says({"data", "inof"}, "no command inof; did you mean info?");
  says({"fly"}, "no command fly; see exciton --help");
}

TEST_F(Program, a_full_standard_output_is_an_error) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  for (const char* const command :
       {"--version", "--help", "summary se_resnet20", "summary se_resnet20 --json",
        "recipes --dir " EXCITON_RECIPES}) {
    const std::string line = std::string(EXCITON_PROGRAM) + ' ' + command + " > /dev/full 2> " +
                             path("err") + "; echo $? > " + path("code");
    ASSERT_EQ(std::system(line.c_str()), 0);
    EXPECT_EQ(read_file(path("code")), "1\n") << command;
    EXPECT_NE(read_file(path("err")).find("cannot write to the standard output"), std::string::npos)
        << command << ": " << read_file(path("err"));
  }
}

TEST_F(Program, recipes_passes_over_what_is_none_and_says_where_it_looked) {
  fs::create_directory(dir_ / "mine");
  fs::copy_file(recipe(), dir_ / "mine/good.json");
  write_file(dir_ / "mine/bad.json", "{\"model\": 3}");
  const Result result = run({"recipes", "--dir", path("mine")});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.out.find("good"), std::string::npos);
  EXPECT_NE(result.err.find("skipping recipe: " + path("mine/bad.json")), std::string::npos);
  expect_failure({"recipes", "--dir", path("none")}, {"--dir: " + path("none") + " is not there"});
  expect_failure({"recipes", "xyz", "--dir", path("mine")}, {"xyz", "leave that out"});
}

TEST_F(Program, bench_reports_both_modes) {
  for (const std::string mode : {"train", "infer"}) {
    const train::Json b =
        train::Json::parse(succeed({"bench", mode, "se_resnet20", "--batch", "8", "--steps", "3",
                                    "--threads", "1", "--image", "8", "--json"})
                               .out);
    EXPECT_EQ(b["model"], "se_resnet20");
    EXPECT_EQ(b["mode"], mode);
    EXPECT_EQ(b["batch"], 8);
    EXPECT_EQ(b["dtype"], "f32");
    EXPECT_EQ(b["threads"], 1);
    EXPECT_NEAR(b["images_per_second"].get<double>() * b["ms_per_step"].get<double>(), 8000, 1e-6);
    EXPECT_GT(b["peak_rss_mib"].get<double>(), 1);
    EXPECT_EQ(b["system_allocations_per_step"], 0);
    EXPECT_EQ(b.contains("first_loss"), mode == "train");
    if (mode == "train") {
      EXPECT_LT(b["last_loss"].get<double>(), b["first_loss"].get<double>());
    }
  }
}

TEST_F(Program, data_info_counts_the_classes) {
  const std::string text = succeed({"data", "info", path("data"), "--kind", "fashion-mnist"}).out;
  EXPECT_NE(text.find("images 64, classes 10, channels 1, size 8 x 8"), std::string::npos) << text;
  EXPECT_NE(text.find("     7  T-shirt/top"), std::string::npos) << text;
}

TEST_F(Program, every_subcommand_has_help_with_an_example) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{},
                                             {"train"},
                                             {"eval"},
                                             {"summary"},
                                             {"bench"},
                                             {"predict"},
                                             {"data"},
                                             {"recipes"},
                                             {"data", "fetch"},
                                             {"data", "info"}}) {
    std::vector<std::string> arguments = command;
    arguments.emplace_back("--help");
    const std::string text = succeed(arguments).out;
    EXPECT_NE(text.find("Example:\n  exciton "), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace exciton::apps::testing
