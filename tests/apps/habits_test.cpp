/// What people expect of the program: tables, a folder without a recipe, a changed course, the
/// doctor, completion and manual pages.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

/// Photos in folders, 16 of each of three classes, of sizes that differ.
class Photos : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new_dir();
    const char* const names[] = {"cat", "dog", "sea, \"wide\""};
    for (int c = 0; c < 3; ++c)
      for (int i = 0; i < 16; ++i) {
        const int w = 20 + i % 3, h = 24 - i % 5;
        std::string bytes = "P6 " + std::to_string(w) + ' ' + std::to_string(h) + " 255\n";
        for (int p = 0; p < 3 * w * h; ++p) bytes += static_cast<char>(40 + 60 * c + (p + i) % 50);
        write_file(path() / "photos" / names[c] / (std::to_string(i) + ".ppm"), bytes);
      }
    succeed({"train", (path() / "photos").string(), "--out", folder(), "--epochs", "2", "--threads",
             "1"});
  }
  static void TearDownTestSuite() { fs::remove_all(dir_); }
  static fs::path path() { return dir_; }
  static std::string folder() { return (path() / "run").string(); }
  static std::string at(const std::string& name) { return (path() / name).string(); }

 private:
  static fs::path new_dir() {
    std::string name = (fs::temp_directory_path() / "exciton-photos-XXXXXX").string();
    if (!mkdtemp(name.data())) throw Error("no temporary folder");
    return name;
  }
  static inline fs::path dir_;
};

TEST_F(Photos, APageOfWideImages) {
  for (const char* name : {"cat", "dog", "sea, \"wide\""})
    for (int i = 0; i < 3; ++i)
      write_file(path() / "wide" / "test" / name / (std::to_string(i) + ".ppm"),
                 "P6 200 120 255\n" + std::string(std::size_t{3} * 200 * 120, 'a'));
  succeed({"eval", folder(), "--data", at("wide"), "--split", "test", "--page", at("wide.html")});
  EXPECT_NE(read_file(at("wide.html")).find("Most confident mistakes"), std::string::npos);
}

TEST_F(Photos, TrainWithoutARecipe) {
  const train::Json recipe = train::read_json(at("run/recipe.json"));
  EXPECT_EQ(recipe["model"]["name"], "se_resnet20");
  EXPECT_EQ(recipe["data"]["image_size"], 32);
  EXPECT_EQ(recipe["data"]["batch"], 32);
  // The recipe is one like any other.
  const Result again =
      succeed({"train", at("run/recipe.json"), "--out", at("again"), "--epochs", "1"});
  EXPECT_EQ(again.out.find("No recipe was given"), std::string::npos);
  expect_failure({"train", folder()}, {"run folder", "--resume"});
  expect_failure({"train", at("nothing/")}, {"nothing"});
}

TEST_F(Photos, BecomeATableOfPredictionsWithEveryImage) {
  const Result result =
      succeed({"eval", folder(), "--csv", at("p.csv"), "--confusion", "--page", at("e.html")});
  for (const char* part : {"precision", "mean", "Columns: what they were taken for", "Wrote"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part;
  const auto lines = lines_of(read_file(at("p.csv")));
  ASSERT_GT(lines.size(), 2u);
  EXPECT_EQ(lines[0],
            "image,label,prediction,probability,p(cat),p(dog),\"p(sea, \"\"wide\"\")\",error");
  EXPECT_NE(lines[1].find(".ppm,"), std::string::npos) << "the file's name, " << lines[1];
  const train::Json json =
      train::Json::parse(succeed({"eval", folder(), "--json", "--confusion"}).out);
  std::int64_t all = 0;
  for (const auto& row : json["confusion"])
    for (const auto& n : row) all += n.get<std::int64_t>();
  EXPECT_EQ(all, json["images"]);
  EXPECT_EQ(static_cast<std::size_t>(all) + 1, lines.size());
  const std::string page = read_file(at("e.html"));
  EXPECT_NE(page.find("Most confident mistakes"), std::string::npos);
  check_in_browser(at("e.html"));
}

TEST_F(Photos, AreLookedAtPastABadFile) {
  fs::create_directories(path() / "mixed");
  for (int i = 0; i < 3; ++i)
    fs::copy_file(path() / "photos" / "cat" / (std::to_string(i) + ".ppm"),
                  path() / "mixed" / ("good" + std::to_string(i) + ".ppm"),
                  fs::copy_options::overwrite_existing);
  write_file(path() / "mixed" / "bad.jpg", "nothing like an image");
  const Result text = run({"predict", folder(), at("mixed")});
  EXPECT_EQ(text.code, 1);
  for (const char* part : {"good0.ppm", "good1.ppm", "good2.ppm"})
    EXPECT_NE(text.out.find(part), std::string::npos) << part;
  EXPECT_NE(text.err.find("1 of 4 images could not be looked at"), std::string::npos) << text.err;
  const Result table = run({"predict", folder(), at("mixed"), "--csv", at("q.csv")});
  EXPECT_EQ(table.code, 1);
  const auto lines = lines_of(read_file(at("q.csv")));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_NE(lines[1].find("neither JPEG"), std::string::npos) << lines[1];
  for (const std::string& line : lines) {  // as many fields everywhere
    EXPECT_TRUE(line.find('"') != line.npos || std::ranges::count(line, ',') == 7) << line;
  }
  const train::Json json =
      train::Json::parse(run({"predict", folder(), at("mixed"), "--json"}).out);
  EXPECT_EQ(json.size(), 4u);
  EXPECT_TRUE(json[0].contains("error"));
  EXPECT_EQ(json[1]["top5"].size(), 3u);
  expect_failure({"predict", folder(), at("mixed"), "--csv", at("nowhere/q.csv")},
                 {"nowhere/q.csv"});
}

TEST_F(Photos, ChangeTheirCourse) {
  succeed({"train", at("photos"), "--out", at("changed"), "--epochs", "1", "--threads", "1"});
  expect_failure({"train", at("changed"), "--resume", "--set", "schedule.lr=0.001"},
                 {"schedule.lr", "--change"});
  expect_failure({"train", at("changed"), "--change"}, {"run folder"});
  const Result result = succeed({"train", at("changed"), "--resume", "--change", "--epochs", "2",
                                 "--set", "schedule.lr=0.001"});
  EXPECT_NE(result.out.find("schedule.lr is 0.001"), std::string::npos) << result.out;
  const Result report =
      succeed({"report", at("changed"), "--csv", at("log.csv"), "--out", at("r.html")});
  EXPECT_NE(report.out.find("schedule.lr is 0.001"), std::string::npos) << report.out;
  const auto lines = lines_of(read_file(at("log.csv")));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[0].starts_with("run,epoch,")) << lines[0];
  EXPECT_EQ(std::ranges::count(lines[1], ','), std::ranges::count(lines[0], ','));
  succeed({"train", at("run/recipe.json"), "--epochs", "1", "--out", at("replayed"), "--threads",
           "1", "--replay", at("changed/changes.jsonl")});
  expect_same_tensors(at("changed/checkpoints/epoch-0002.ckpt"),
                      at("replayed/checkpoints/epoch-0002.ckpt"));
}

TEST(Doctor, LooksAtTheMachine) {
  const Result text = run({"doctor"});
  for (const char* part : {"processor", "threads", "memory", "convolution", "disk", "data"})
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in " << text.out;
  const train::Json json = train::Json::parse(run({"doctor", "--json"}).out);
  EXPECT_GE(json["findings"].size(), 7u);
  for (const train::Json& one : json["findings"]) {
    EXPECT_TRUE(one["state"] != "bad" || one["advice"] != "") << one;
  }
  // A setting that was forgotten is named.
  setenv("EXCITON_CONV", "own", 1);
  const std::string forgotten = run({"doctor"}).out;
  unsetenv("EXCITON_CONV");
  EXPECT_NE(forgotten.find("EXCITON_CONV=own"), std::string::npos) << forgotten;
}

TEST(Completion, KnowsCommandsAndOptions) {
  for (const char* const shell : {"bash", "zsh", "fish"}) {
    const std::string text = succeed({"completion", shell}).out;
    for (const char* part : {"finetune", "doctor", "fetch"})
      EXPECT_NE(text.find(part), std::string::npos) << part << " for " << shell;
    EXPECT_NE(text.find(shell == std::string("fish") ? "-l resume" : "--resume"),
              std::string::npos);
  }
  if (std::system("bash -c true > /dev/null 2>&1") != 0) GTEST_SKIP() << "no bash";
  const test_support::TempDir dir;
  write_file(dir / "c", succeed({"completion", "bash"}).out);
  const auto completed = [&](const std::string& words, int at) {
    const std::string script = "source '" + (dir / "c").string() + "'; COMP_WORDS=(" + words +
                               "); COMP_CWORD=" + std::to_string(at) +
                               "; _exciton; echo \"${COMPREPLY[@]}\" > '" + (dir / "out").string() +
                               "'";
    write_file(dir / "s", script);
    EXPECT_EQ(std::system(("bash '" + (dir / "s").string() + "'").c_str()), 0) << script;
    return read_file(dir / "out");
  };
  EXPECT_EQ(completed("exciton doc", 1), "doctor\n");
  EXPECT_EQ(completed("exciton train --res", 2), "--resume\n");
  EXPECT_EQ(completed("exciton bench tr", 2), "train\n");
  EXPECT_EQ(completed("exciton data fetch --u", 3), "--url\n");
  EXPECT_EQ(completed("exciton bench train --dtype b", 4), "bf16\n");
}

TEST(Man, HasAPageForEveryCommand) {
  const test_support::TempDir dir;
  succeed({"man", "--dir", (dir / "man1").string()});
  EXPECT_TRUE(fs::exists(dir / "man1" / "exciton.1"));
  const std::string page = read_file(dir / "man1" / "exciton-data-fetch.1");
  for (const char* part : {".TH", ".SH SYNOPSIS", "\\-\\-url", ".SH EXAMPLES"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  EXPECT_EQ(succeed({"man", "data", "fetch"}).out, page);
  expect_failure({"man", "nothing"}, {"no command nothing"});
}

TEST(CheatSheet, IsTheOneInTheDocs) {
  EXPECT_EQ(succeed({"man", "--cheatsheet"}).out,
            read_file(fs::path(EXCITON_SOURCE_DIR) / "docs" / "cheatsheet.md"))
      << "write it anew: exciton man --cheatsheet > docs/cheatsheet.md";
}

}  // namespace
}  // namespace exciton::apps::testing
