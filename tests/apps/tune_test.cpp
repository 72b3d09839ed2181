/// `exciton tune`, and runs on the kernels that it names.
#include <gtest/gtest.h>

#include <filesystem>

#include "exciton/ops/processor.hpp"
#include "exciton/train/json.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> tune(const std::vector<std::string>& more) {
  std::vector<std::string> out{"tune",      "se_resnet20", "--batch",   "8", "--image", "8",
                               "--threads", "1",           "--seconds", "0", "--dtype", "f32"};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(Tune, MeasuresEveryFormOnEveryKernel) {
  const train::Json t = train::Json::parse(succeed(tune({"--json"})).out);
  EXPECT_EQ(t["model"], "se_resnet20");
  double now = 0, best = 0;
  bool several = false;
  for (const train::Json& form : t["forms"]) {
    const double ran = form["ms"][form["now"].get<std::string>()].get<double>(),
                 least = form["ms"][form["best"].get<std::string>()].get<double>();
    for (const auto& [kernel, ms] : form["ms"].items())
      EXPECT_GE(ms.get<double>(), least) << kernel;
    several = several || form["ms"].size() > 1;
    const auto count = form["count"].get<double>();
    EXPECT_GE(count, 1);
    now += count * ran;
    best += count * least;
  }
  EXPECT_TRUE(several);
  EXPECT_NEAR(t["ms_now"].get<double>(), now, 1e-9);
  EXPECT_NEAR(t["ms_best"].get<double>(), best, 1e-9);
  EXPECT_LE(t["ms_best"].get<double>(), t["ms_now"].get<double>());
}

TEST(Tune, WritesAFileThatCommandsTake) {
  const TempDir dir;
  const std::string file = (dir / "k.json").string();
  const Result said = succeed(tune({"--out", file}));
  EXPECT_NE(said.out.find("--kernels " + file), std::string::npos) << said.out;
  const train::Json written = train::read_json(file);
  EXPECT_TRUE(written["kernels"].is_object());
  succeed({"bench", "infer", "se_resnet20", "--batch", "2", "--image", "8", "--steps", "1",
           "--kernels", file});
}

TEST(Tune, RefusesFilesThatMeanNothing) {
  const TempDir dir;
  const std::string file = (dir / "k.json").string();
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    write_file(file, text);
    expect_failure({"summary", "se_resnet20", "--kernels", file}, parts);
  };
  const std::string form = "\"forward f32 3x3 16 to 16 on 8x8, padding 1\"";
  refused("[]", {"k.json", "object"});
  refused("{}", {"kernels"});
  refused(R"({"processor": "x", "kernels": {"forward f32 3x3": "direct"}})",
          {"forward f32 3x3", "no form"});
  refused(R"({"processor": "x", "kernels": {)" + form + R"(: "fast"}})",
          {"padding 1", "fast", "winograd-f4x3"});
  refused(R"({"processor": "x", "kernels": {)" + form + R"(: "plain"}})", {"plain", "for tests"});
  refused(R"({"processor": "x", "kernels": {)" + form + R"(: 3}})", {"name of a kernel"});
  expect_failure({"summary", "se_resnet20", "--kernels", (dir / "none.json").string()},
                 {"none.json"});
}

TEST(Tune, SaysThatAFileIsOfAnotherProcessor) {
  const TempDir dir;
  write_file(dir / "k.json", R"({"processor": "of a test", "kernels": {}})");
  const Result said = run({"summary", "se_resnet20", "--kernels", (dir / "k.json").string()});
  EXPECT_EQ(said.code, 0);
  EXPECT_NE(said.err.find("another processor, of a test"), std::string::npos) << said.err;
}

/// A run of 2 epochs on kernels of a file, of which the second is lost.
class TunedRun : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir_ / "data");
    write_tiny_recipe(dir_ / "recipe.json", dir_ / "data");
    write("direct", file());
    succeed(call(whole(), {"--kernels", file(), "--set", "checkpoint.keep_last=2"}));
    fs::copy(whole(), out(), fs::copy_options::recursive);
    fs::remove(last(out()));
    fs::remove(fs::path(out()) / "checkpoints/best.ckpt");
  }
  void write(const std::string& kernel, const std::string& path) const {
    write_file(path, R"({"processor": ")" + ops::processor().name + R"(", "kernels": {
      "forward f32 3x3 16 to 16 on 8x8, padding 1": ")" +
                         kernel + R"(",
      "weight gradient f32 3x3 16 to 16 on 8x8, padding 1": "direct"}})");
  }
  std::string file() const { return (dir_ / "k.json").string(); }
  std::string out() const { return (dir_ / "run").string(); }
  std::string whole() const { return (dir_ / "whole").string(); }
  static fs::path last(const std::string& folder) {
    return fs::path(folder) / "checkpoints/epoch-0002.ckpt";
  }
  std::vector<std::string> call(const std::string& folder,
                                const std::vector<std::string>& more) const {
    std::vector<std::string> words{"train", (dir_ / "recipe.json").string(), "--out", folder};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  TempDir dir_;
};

TEST_F(TunedRun, GoesOnWithItsKernels) {
  // The checkpoint has them: the file is not needed again.
  const std::vector<std::string> resume{"--set", "checkpoint.keep_last=2", "--resume"};
  const Result resumed = succeed(call(out(), resume));
  EXPECT_NE(resumed.out.find("2 forms of convolutions run on the kernels"), std::string::npos)
      << resumed.out;
  expect_same_tensors(last(whole()), last(out()));
}

TEST_F(TunedRun, DoesNotGoOnWithOthers) {
  const std::string other = (dir_ / "other.json").string();
  write("winograd-f4x3", other);
  expect_failure(call(out(), {"--set", "checkpoint.keep_last=2", "--resume", "--kernels", other}),
                 {"other kernels", "--out"});
  const std::string plain = (dir_ / "plain").string();
  succeed(call(plain, {}));
  expect_failure(call(plain, {"--resume", "--kernels", file()}), {"the program chooses", "--out"});
}

}  // namespace
}  // namespace exciton::apps::testing
