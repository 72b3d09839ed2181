/// `exciton inspect` as its user sees it, and the numbers behind it.
#include <gtest/gtest.h>

#include "apps/page/page.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {
namespace fs = std::filesystem;

TEST(Page, HoldsTheDataWhateverIsInIt) {
  const train::Json data = {{"text", "</script><b>&"}, {"one", rounded(1.0 / 3, 3)}};
  const std::string page = make_page("a < b", "inspect.js", data);
  EXPECT_NE(page.find("<title>a &lt; b</title>"), std::string::npos);
  const std::string begin = "type=\"application/json\">";
  const auto from = page.find(begin) + begin.size();
  const std::string text = page.substr(from, page.find("</script>", from) - from);
  EXPECT_EQ(train::Json::parse(text), data);
  EXPECT_EQ(data["one"], 0.333);
  EXPECT_EQ(page.find("src=\"http"), std::string::npos);
  EXPECT_THROW(make_page("", "nothing.js", data), Error);
}

TEST(Page, Base64IsThatOfTheRfc) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

class Inspect : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(dir_ / "data", 96, 60);
    write_tiny_recipe(dir_ / "recipe.json", dir_ / "data");
    succeed({"train", path("recipe.json"), "--out", path("run"), "--epochs", "1"});
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  TempDir dir_;
};

TEST_F(Inspect, TellsOfEveryBlock) {
  const Result text = succeed({"inspect", path("run"), "--threads", "1"});
  for (const char* part :
       {"stage1.0.se", "stage3.2.se", "class share", "by their mean", "all", "±"})
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in " << text.out;

  const train::Json json = train::Json::parse(succeed({"inspect", path("run"), "--json", "--pick",
                                                       "3,5", "--channels", "8", "--threads", "1"})
                                                  .out);
  const train::Json eval =
      train::Json::parse(succeed({"eval", path("run"), "--json", "--threads", "1"}).out);
  EXPECT_NEAR(json["top1"].get<double>(), eval["top1"].get<double>(), 1e-4);
  EXPECT_NEAR(json["loss"].get<double>(), eval["loss"].get<double>(), 1e-3);
  ASSERT_EQ(json["blocks"].size(), 9u);
  const train::Json summary = train::Json::parse(
      succeed({"summary", "se_resnet20", "--channels", "1", "--image", "8", "--json"}).out);
  EXPECT_EQ(json["groups"].back()["parameters"], summary["se_parameters"]);
  EXPECT_EQ(json["groups"].back()["multiply_adds"], summary["se_multiply_adds"]);
  for (const train::Json& block : json["blocks"]) {
    EXPECT_EQ(block["figure"]["channels"].size(), 8u);
    EXPECT_EQ(block["figure"]["classes"].size(), 10u);
    for (const char* by : {"one", "mean", "zero"})
      EXPECT_TRUE(block["importance"]["replaced_by"][by]["difference"].is_number());
  }
  ASSERT_EQ(json["explanations"].size(), 2u);
  const train::Json& explanation = json["explanations"][0];
  EXPECT_EQ(explanation["top5"].size(), 5u);
  EXPECT_EQ(explanation["gates"].size(), 9u);
  EXPECT_EQ(explanation["gates"][8].size(), 64u);
  EXPECT_EQ(explanation["heat"]["values"].size(), 4u);  // 8 pixels a side, two strides of 2
}

TEST_F(Inspect, DumpsEveryGate) {
  succeed({"inspect", path("run"), "--csv", path("csv"), "--threads", "1"});
  for (const char* file : {"figure6.csv", "histogram.csv", "blocks.csv", "replaced.csv",
                           "images.csv", "gates/stage2.1.se.csv"})
    EXPECT_TRUE(fs::exists(path("csv") + '/' + file)) << file;
  const std::string gates = read_file(path("csv") + "/gates/stage2.1.se.csv");
  EXPECT_EQ(std::count(gates.begin(), gates.end(), '\n'), 61);
  std::string command =
      std::string("python3 ") + EXCITON_TEST_SCRIPTS + "/check_figure6.py " + path("csv");
  const train::Json eval =
      train::Json::parse(succeed({"eval", path("run"), "--json", "--threads", "1"}).out);
  for (const train::Json& name : eval["classes"])
    command += " '" + name["class"].get<std::string>() + '\'';
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(Inspect, PageInChromium) {
  const Result result =
      succeed({"inspect", path("run"), "--out", path("page.html"), "--threads", "1"});
  EXPECT_NE(result.out.find("page.html"), std::string::npos);
  EXPECT_LT(fs::file_size(path("page.html")), 3'000'000u);
  check_in_browser(path("page.html"));
}

TEST_F(Inspect, PruningThatCutsNothingOrDoesNotFitIsAnError) {
  const std::vector<std::string> prune{"prune",     path("run"), "--out",
                                       path("cut"), "--images",  "16"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = prune;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  expect_failure(with({"--multiple", "1000"}),
                 {"nothing would be cut", "16, 32, 64 channels in multiples of 1000"});
  expect_failure(with({"--keep", "0.99"}), {"nothing would be cut: 0.99"});
  const std::string full =
      expect_failure(with({"--keep", "0.5"}), {"cannot write", "make room"}, 1, 20'000).err;
  EXPECT_EQ(full.find("resume"), std::string::npos) << full;
  succeed(with({"--keep", "0.5"}));  // in the same folder: nothing stayed
}

TEST_F(Inspect, TablesThatDoNotFitLeaveNothingBehind) {
  expect_failure({"eval", path("run"), "--csv", path("t.csv")}, {"t.csv", "is the disk full?"}, 1,
                 1000);
  EXPECT_FALSE(fs::exists(path("t.csv")));
  EXPECT_FALSE(fs::exists(path("t.csv.tmp")));
}

TEST_F(Inspect, ErrorsAreForPeople) {
  expect_failure({"inspect", path("run"), "--classes", "Sandals"}, {"Sandals", "Sandal"});
  expect_failure({"inspect", path("run"), "--pick", "60"}, {"image 60 of 60"});
  expect_failure({"inspect", path("run"), "--out", path("no/where.html")}, {"no folder"});
  expect_failure({"inspect", path("nothing")}, {"there is no"});
  succeed({"train", path("recipe.json"), "--out", path("plain"), "--epochs", "1", "--set",
           "model.name=resnet20"});
  expect_failure({"inspect", path("plain")}, {"resnet20 has no SE blocks", "se_resnet20"});
}

}  // namespace
}  // namespace exciton::apps::testing
