/// The table of sources against the key lists that the libraries themselves made.
#include "exciton/interop/source.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "exciton/core/error.hpp"
#include "exciton/interop/npy.hpp"
#include "exciton/nn/layers.hpp"
#include "tests/interop/support.hpp"
#include "tests/temp_dir.hpp"

namespace exciton::interop::testing {
namespace {

/// A file that has only keys and shapes.
class Keys final : public WeightFile {
 public:
  explicit Keys(const nlohmann::json& rows) {
    for (const auto& row : rows)
      tensors.push_back(
          {row[0].get<std::string>(), ElementType::f32, row[1].get<std::vector<std::int64_t>>()});
  }
  void read(const std::vector<bool>&, const ValueSink&) const override {}
};

Fit fit_of(const Source& source, const WeightFile& file, std::int64_t classes,
           const std::vector<std::int64_t>& blocks = {}) {
  nn::ModelOptions options = source.options;
  options.classes = classes;
  if (!blocks.empty()) options.blocks = blocks;
  const nn::SkipInitialization names_and_shapes_only;
  const nn::Model model = nn::make_model(source.model, options);
  return fit(layout_of(*model.net, source.naming), file, clean_names(file));
}

/// Whether the counts of tensors do not rule it out (biases and num_batches_tracked are more
/// there).
bool may_fit(const Source& source, const WeightFile& file) {
  static std::map<std::string, std::size_t> counts;
  const auto [at, added] = counts.emplace(source.name, 0);
  if (added) {
    const nn::SkipInitialization names_and_shapes_only;
    const nn::Model model = nn::make_model(source.model, source.options);
    at->second = layout_of(*model.net, source.naming).items.size();
  }
  const std::size_t there = file.tensors.size();
  return at->second <= there && there <= 2 * at->second;
}

TEST(Sources, MeetEveryKeyOfTheirLibraryOnce) {
  const auto path = real("keys.json");
  if (!path) GTEST_SKIP() << "EXCITON_INTEROP is not set";
  const auto keys = nlohmann::json::parse(std::ifstream(*path));
  // Named otherwise there than in our table.
  const std::map<std::string, std::string> renamed = {
      {"chenyaofo/cifar10_resnet20", "chenyaofo/cifar_resnet20"},
      {"moskomule/resnet20", "chenyaofo/cifar_resnet20"}};
  int fitting = 0;
  for (const auto& [name, rows] : keys.items()) {
    const std::string own = renamed.contains(name) ? renamed.at(name) : name;
    const auto found = std::ranges::find(sources(), own, &Source::name);
    ASSERT_NE(found, sources().end()) << name;
    const Keys file(rows);
    if (!found->cannot.empty()) {  // and nothing may take it for something else
      for (const Source& other : sources()) {
        if (!other.cannot.empty()) continue;
        EXPECT_FALSE(may_fit(other, file) && fit_of(other, file, 10).complete())
            << name << ", " << other.name;
      }
      continue;
    }
    const std::int64_t classes = rows.back()[1][0].get<std::int64_t>();
    // SENet-154 was listed with two blocks a stage.
    const bool small = own.find("senet154") != std::string::npos &&
                       own.find("x") == std::string::npos && rows.size() < 800;
    const Fit how =
        fit_of(*found, file, classes,
               small ? std::vector<std::int64_t>{2, 2, 2, 2} : std::vector<std::int64_t>{});
    EXPECT_TRUE(how.complete()) << name << ": " << how.text();
    fitting += how.complete();
  }
  EXPECT_EQ(fitting, 31);
}

/// Networks of other libraries with random weights and what PyTorch computed, see torch_cases.py.
TEST(Sources, ComputeWhatPyTorchDoes) {
  const char* folder = std::getenv("EXCITON_TORCH_CASES");
  if (!folder) GTEST_SKIP() << "EXCITON_TORCH_CASES is not set";
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto about = nlohmann::json::parse(std::ifstream(entry.path() / "case.json"));
    const Source& own = source(about["source"].get<std::string>());
    const auto file = open_weights(entry.path() / "weights.pth");
    const CleanNames names = clean_names(*file);
    nn::ModelOptions options = own.options;
    options.classes = 11;
    options.blocks = about["blocks"].get<std::vector<std::int64_t>>();
    options.image_size = about["size"].get<std::int64_t>();
    nn::Model model = nn::make_model(own.model, options);
    load(layout_of(*model.net, own.naming), *file, names);
    nn::set_training(*model.net, false);
    const Tensor x = read_npy(entry.path() / "input.npy"),
                 expected = read_npy(entry.path() / "logits.npy");
    const std::int64_t n = x.dim(0), c = x.dim(1), side = x.dim(2);
    Tensor images({n, side, side, c});
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const std::int64_t pixel = i % (side * side), channel = i / (side * side) % c,
                         image = i / (side * side * c);
      images.data<float>()[(image * side * side + pixel) * c + channel] = x.data<float>()[i];
    }
    double largest = 1;
    for (const float v : expected.span<float>())
      largest = std::max(largest, std::abs(static_cast<double>(v)));
    for (const bool fused : {true, false}) {
      nn::set_fused(*model.net, fused);
      const Tensor logits = model(images).value();
      double difference = 0;
      for (std::int64_t i = 0; i < logits.numel(); ++i)
        difference = std::max(difference, std::abs(logits.at(i) - expected.at(i)));
      EXPECT_LE(difference, 1e-4 * largest) << own.name << ", largest logit " << largest;
    }
    ++cases;
  }
  EXPECT_GE(cases, 12);
}

TEST(Sources, AreAllOfNetworksThatThereAre) {
  std::set<std::string> names;
  for (const Source& source : sources()) {
    EXPECT_TRUE(names.insert(source.name).second) << source.name;
    EXPECT_EQ(source.cannot.empty(), !source.model.empty()) << source.name;
    if (!source.cannot.empty()) continue;
    const nn::SkipInitialization names_and_shapes_only;
    const nn::Model model = nn::make_model(source.model, source.options);
    const Layout layout = layout_of(*model.net, source.naming);
    EXPECT_GT(layout.items.size(), 50u) << source.name;
    for (const Item& item : layout.items)
      EXPECT_EQ(item.theirs.find("stage"), std::string::npos) << source.name << ' ' << item.theirs;
  }
  EXPECT_THROW(source("kuangliu/MobileNet"), Error);
  try {
    source("timm/seresnet5");
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("timm/seresnet50"), std::string::npos) << error.what();
  }
}

TEST(Sources, OptionsAreNamedThatDecideWhatIsComputed) {
  nn::ModelOptions o;
  EXPECT_EQ(options_text(o), "");
  o.classes = 7;
  o.image_size = 40;
  o.dropout = 0.3;
  EXPECT_EQ(options_text(o), "");
  o.blocks = {1, 1, 1};
  o.se.gate = "tanh";
  o.se.placement = "pre";
  o.se.bias = false;
  o.se.stages = {2};
  EXPECT_EQ(options_text(o),
            "blocks=[1, 1, 1] se.bias=false se.gate=tanh se.placement=pre se.stages=[2]");
}

TEST(Sources, RulesOfTheUsersOwn) {
  const test_support::TempDir dir;
  write_bytes(
      dir / "r.json",
      R"x({"rename": [["^stage(\\d)\\.", "group$1/"], ["^fc\\.", "head."]], "gates_as_convolutions": true})x");
  const Naming naming = read_rules(dir / "r.json");
  EXPECT_EQ(naming.rename("stage2.0.conv1.weight"), "group2/0.conv1.weight");
  EXPECT_EQ(naming.rename("fc.bias"), "head.bias");
  EXPECT_TRUE(naming.gates_as_convolutions);
  for (const char* bad : {"[]", "{\"renames\": []}", "{\"rename\": [[\"(\", \"\"]]}",
                          "{\"rename\": [[\"a\"]]}", "{"}) {
    write_bytes(dir / "r.json", bad);
    EXPECT_THROW(read_rules(dir / "r.json"), Error) << bad;
  }
}

}  // namespace
}  // namespace exciton::interop::testing
