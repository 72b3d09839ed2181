/// `exciton profile` and `exciton bench floor` as a script sees them.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "exciton/train/json.hpp"
#include "tests/apps/support.hpp"

namespace exciton::apps::testing {
namespace {

/// One step: its parts then add up exactly, however busy the machine is.
train::Json json_of(std::vector<std::string> arguments, const std::string& threads = "1") {
  for (const char* word :
       {"--batch", "8", "--image", "8", "--steps", "1", "--warmup", "1", "--json", "--threads"})
    arguments.emplace_back(word);
  arguments.push_back(threads);
  return train::Json::parse(succeed(arguments).out);
}

double sum(const train::Json& rows, const char* key) {
  double total = 0;
  for (const train::Json& row : rows) total += row[key].get<double>();
  return total;
}

void expect_shares(const train::Json& p) {
  EXPECT_NEAR(sum(p["rows"], "share"), p["operators"]["share"].get<double>(), 1e-9);
  EXPECT_NEAR(sum(p["rows"], "ms_forward") + sum(p["rows"], "ms_backward"),
              p["operators"]["ms"].get<double>(), 1e-9);
  const double parts = p["operators"]["share"].get<double>() +
                       p["optimizer"]["share"].get<double>() + p["rest"]["share"].get<double>();
  EXPECT_NEAR(parts, 1, 1e-9);
  // Operators are timed within the step: neither nothing nor more than all of it.
  EXPECT_GT(p["operators"]["share"].get<double>(), 0.1);
  EXPECT_GE(p["rest"]["ms"].get<double>(), 0);
}

TEST(Profile, by_operator) {
  const train::Json p = json_of({"profile", "se_resnet20"});
  EXPECT_EQ(p["model"], "se_resnet20");
  EXPECT_EQ(p["mode"], "train");
  EXPECT_EQ(p["batch"], 8);
  EXPECT_EQ(p["image_size"], 8);
  EXPECT_EQ(p["dtype"], "f32");
  EXPECT_EQ(p["threads"], 1);
  EXPECT_EQ(p["steps"], 1);
  EXPECT_EQ(p["by"], "op");
  EXPECT_NEAR(p["images_per_second"].get<double>() * p["ms_per_step"].get<double>(), 8000, 1e-6);
  EXPECT_GT(p["peak_rss_mib"].get<double>(), 1);
  const train::Json& machine = p["machine"];
  EXPECT_FALSE(machine["processor"].get<std::string>().empty());
  EXPECT_GT(machine["gflops_f32"].get<double>(), 1);
  ASSERT_EQ(machine["copies"].size(), 3u);
  for (const train::Json& copy : machine["copies"])
    EXPECT_GT(copy["gb_per_second"].get<double>(), 0.1);
  EXPECT_LT(machine["copies"][0]["bytes"], machine["copies"][1]["bytes"]);

  std::set<std::string> ops, kernels;
  double before = 1e30;
  int convolutions = 0;
  for (const train::Json& row : p["rows"]) {
    ops.insert(row["op"]);
    EXPECT_TRUE(
        kernels.insert(row["op"].get<std::string>() + row["kernel"].get<std::string>()).second)
        << row["op"] << " twice";
    const double ms = row["ms_forward"].get<double>() + row["ms_backward"].get<double>();
    EXPECT_LE(ms, before) << "the most expensive comes first";
    before = ms;
    for (const char* key : {"gflops", "gb_per_second", "of_roof", "share"})
      EXPECT_GE(row[key].get<double>(), 0) << key;
    if (row["op"] == "conv2d" || row["op"] == "norm_relu_conv") {
      EXPECT_NE(row["kernel"], "");
      convolutions += row["calls"].get<int>();
      EXPECT_GT(row["ms_backward"].get<double>(), 0);
      EXPECT_GT(row["gflops"].get<double>(), 0);
    }
  }
  EXPECT_EQ(convolutions, 1 + 18 + 2) << "stem, two per block, two projections";
  for (const char* op : {"conv2d", "residual_tail", "linear", "cross_entropy"})
    EXPECT_TRUE(ops.contains(op)) << op;
  EXPECT_GT(p["optimizer"]["ms"].get<double>(), 0);
  expect_shares(p);
}

TEST(Profile, by_layer_follows_the_tape) {
  const train::Json p = json_of({"profile", "se_resnet20", "--by", "layer"});
  const train::Json& rows = p["rows"];
  ASSERT_GT(rows.size(), 30u);
  EXPECT_EQ(rows[0]["layer"], "conv1");
  EXPECT_EQ(rows[0]["op"], "conv2d");
  EXPECT_EQ(rows[0]["inputs"], train::Json::parse("[[8, 8, 8, 3], [16, 3, 3, 3]]"));
  EXPECT_EQ(rows[0]["output"], train::Json::parse("[8, 8, 8, 16]"));
  EXPECT_EQ(rows.back()["op"], "cross_entropy");
  EXPECT_EQ(rows.back()["layer"], "");
  const auto runs = [&](const char* layer, const char* op) {
    return std::count_if(rows.begin(), rows.end(), [&](const train::Json& r) {
      return r["layer"] == layer && r["op"] == op;
    });
  };
  EXPECT_EQ(runs("stage2.0.conv1", "conv2d"), 1);
  EXPECT_EQ(runs("stage2.0.conv2", "norm_relu_conv"), 1);
  EXPECT_EQ(runs("stage2.0.se", "residual_tail"), 1);
  EXPECT_EQ(runs("fc", "linear"), 1);
  expect_shares(p);
}

TEST(Profile, inference_has_no_backward) {
  const train::Json p = json_of({"profile", "se_resnet20", "--mode", "infer", "--by", "layer"});
  EXPECT_EQ(p["mode"], "infer");
  EXPECT_EQ(sum(p["rows"], "ms_backward"), 0);
  EXPECT_EQ(p["optimizer"]["ms"], 0);
  EXPECT_EQ(p["rows"][0]["layer"], "conv1");
  for (const train::Json& row : p["rows"]) EXPECT_NE(row["op"], "cross_entropy");
  expect_shares(p);
}

TEST(Profile, trace_is_what_chrome_reads) {
  const TempDir dir;
  const std::string path = (dir / "step.json").string();
  const train::Json p = json_of({"profile", "se_resnet20", "--by", "layer", "--trace", path});
  const train::Json trace = train::read_json(path);
  ASSERT_TRUE(trace["traceEvents"].is_array());
  std::size_t forward = 0, backward = 0, optimizer = 0;
  double forward_end = 0, backward_start = 1e30;
  for (const train::Json& e : trace["traceEvents"]) {
    ASSERT_TRUE(e["name"].is_string());
    ASSERT_TRUE(e["pid"].is_number_integer() && e["tid"].is_number_integer());
    if (e["ph"] == "M") continue;
    ASSERT_EQ(e["ph"], "X");
    const double start = e["ts"], duration = e["dur"];
    EXPECT_GE(start, 0);
    EXPECT_GT(duration, 0);
    if (e["cat"] == "forward") {
      // One operator after another: no event of a row overlaps the one before.
      EXPECT_GE(start, forward_end);
      forward_end = start + duration;
      ++forward;
    } else if (e["cat"] == "backward") {
      EXPECT_LE(start + duration, backward_start + 1e-6) << "backward runs the other way";
      backward_start = start;
      ++backward;
    } else {
      EXPECT_EQ(e["cat"], "optimiser");
      ++optimizer;
    }
  }
  EXPECT_EQ(forward, p["rows"].size());
  EXPECT_EQ(backward, p["rows"].size());
  EXPECT_EQ(optimizer, 1u);
}

TEST(Profile, tables_name_their_columns) {
  const std::vector<std::string> quick{"--batch", "4", "--image",   "8",
                                       "--steps", "1", "--threads", "1"};
  for (const std::string by : {"op", "layer"}) {
    std::vector<std::string> arguments{"profile", "se_resnet20", "--by", by};
    arguments.insert(arguments.end(), quick.begin(), quick.end());
    const std::string text = succeed(arguments).out;
    for (const char* part : {"GFLOP/s", "GB/s", "share", "every tensor once", "conv2d",
                             "residual_tail", "optimiser", "rest", "images/s"})
      EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
    EXPECT_EQ(text.find("stage2.0.conv1") != std::string::npos, by == "layer");
  }
}

TEST(Profile, mistakes_are_named) {
  expect_failure({"profile", "se_resnet21"}, {"se_resnet20"});
  expect_failure({"profile", "se_resnet20", "--by", "colour"}, {"--by"}, 2);
  expect_failure({"profile", "se_resnet20", "--batch", "2", "--image", "8", "--steps", "1",
                  "--trace", "/no/such/folder/step.json"},
                 {"/no/such/folder/step.json"});
}

TEST(BenchFloor, sums_the_convolutions) {
  const train::Json f = json_of({"bench", "floor", "se_resnet20"}, "2");
  EXPECT_EQ(f["model"], "se_resnet20");
  EXPECT_EQ(f["mode"], "floor");
  EXPECT_EQ(f["batch"], 8);
  EXPECT_EQ(f["dtype"], "f32");
  EXPECT_EQ(f["threads"], 2);
  EXPECT_EQ(f["convolutions"], 21);
  double total = 0;
  for (const char* key : {"ms_forward", "ms_backward_data", "ms_backward_weights"}) {
    EXPECT_GT(f[key].get<double>(), 0) << key;
    total += f[key].get<double>();
  }
  EXPECT_NEAR(f["ms_total"].get<double>(), total, 1e-9);
  // The smaller, convolution by convolution, is at most the smaller of the sums.
  EXPECT_LE(total, f["ms_total_whole_batch"].get<double>() + 1e-9);
  EXPECT_LE(total, f["ms_total_pieces"].get<double>() + 1e-9);
  // SE adds no convolution.
  EXPECT_EQ(json_of({"bench", "floor", "resnet20"})["multiply_adds"], f["multiply_adds"]);
}

TEST(BenchFloor, knows_the_layers_of_se_without_squeeze) {
  // Two 1x1 convolutions a block, called on the SE block's own matrices.
  const train::Json f = json_of({"bench", "floor", "se_resnet20", "--set", "se.squeeze=none"});
  EXPECT_EQ(f["convolutions"], 21 + 2 * 9);
}

TEST(BenchFloor, tells_both_ways) {
  const std::string text =
      succeed({"bench", "floor", "resnet20", "--batch", "4", "--image", "8", "--steps", "1"}).out;
  for (const char* part : {"whole batch", "pieces", "least", "backward weights", "total"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
}

TEST(Bench, auto_says_what_it_took) {
  const std::vector<std::string> quick{"--batch", "4", "--image",   "8",
                                       "--steps", "1", "--threads", "1"};
  std::vector<std::string> arguments{"bench", "train", "se_resnet20", "--dtype", "auto"};
  arguments.insert(arguments.end(), quick.begin(), quick.end());
  EXPECT_NE(succeed(arguments).out.find("auto: "), std::string::npos);
  arguments.emplace_back("--json");
  const train::Json b = train::Json::parse(succeed(arguments).out);
  EXPECT_EQ(b["precision"].get<std::string>().rfind("auto: ", 0), 0u);
  EXPECT_NE(b["precision"].get<std::string>().find(b["dtype"].get<std::string>()),
            std::string::npos);
}

TEST(Help, has_examples) {
  EXPECT_NE(succeed({"profile", "--help"}).out.find("Example:\n  exciton profile"),
            std::string::npos);
}

}  // namespace
}  // namespace exciton::apps::testing
