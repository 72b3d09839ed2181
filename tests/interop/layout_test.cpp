/// From a network under another library's names and back.
#include "exciton/interop/layout.hpp"

#include <gtest/gtest.h>

#include "exciton/core/error.hpp"
#include "exciton/interop/safetensors.hpp"
#include "exciton/interop/source.hpp"
#include "exciton/nn/layers.hpp"
#include "tests/interop/support.hpp"
#include "tests/temp_dir.hpp"

namespace exciton::interop::testing {
namespace {

using test_support::TempDir;

/// A network whose every value differs, running statistics included.
nn::Model counted(const Source& source, const std::vector<std::int64_t>& blocks = {}) {
  nn::ModelOptions options = source.options;
  options.classes = 7;
  options.blocks = blocks;
  if (source.model == "vgg16_bn") options.image_size = 64;
  nn::Model model = nn::make_model(source.model, options, 5);
  float value = 1;
  for (const Item& item : layout_of(*model.net, source.naming).items)
    if (item.ours.find("running") != std::string::npos)
      for (float& v : item.tensor->span<float>()) v = value += 0.125f;
  return model;
}

void write(const Layout& layout, const std::filesystem::path& path) {
  std::vector<TensorToWrite> tensors;
  for (const Item& item : layout.items)
    tensors.push_back({item.theirs, ElementType::f32, item.shape,
                       [&item](const auto& put) { write_values(item, put); }});
  for (const AbsorbedBias& bias : layout.biases)
    tensors.push_back(
        {bias.theirs, ElementType::f32, {bias.running_mean->dim(0)}, [&bias](const auto& put) {
           put(std::vector<float>(static_cast<std::size_t>(bias.running_mean->dim(0)), 0.5f));
         }});
  write_safetensors(path, std::move(tensors), {});
}

class RoundTrip : public ::testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, BringsBackEveryValue) {
  const TempDir dir;
  const Source& own = source(GetParam());
  const bool stages =
      own.model.find("net1") != std::string::npos && own.model != "inception_resnet_v2";
  const std::vector<std::int64_t> blocks =
      stages ? std::vector<std::int64_t>{1, 2, 1, 1} : std::vector<std::int64_t>{};
  nn::Model model = counted(own, blocks), again = counted(own, blocks);
  const Layout layout = layout_of(*model.net, own.naming), into = layout_of(*again.net, own.naming);
  write(layout, dir / "w.safetensors");
  for (const Item& item : into.items) item.tensor->fill(-1);
  const auto file = open_weights(dir / "w.safetensors");
  load(into, *file, clean_names(*file));
  for (std::size_t i = 0; i < layout.items.size(); ++i) {
    const Item &a = layout.items[i], &b = into.items[i];
    const bool absorbs = std::ranges::any_of(
        into.biases, [&](const AbsorbedBias& bias) { return bias.running_mean == b.tensor; });
    for (std::int64_t e = 0; e < a.tensor->numel(); ++e)
      ASSERT_EQ(b.tensor->data<float>()[e], a.tensor->data<float>()[e] - (absorbs ? 0.5f : 0.f))
          << a.ours << ' ' << e;
  }
}

INSTANTIATE_TEST_SUITE_P(OfKinds, RoundTrip,
                         ::testing::Values("timm/seresnet18", "moskomule/se_resnet20",
                                           "timm/legacy_seresnet18", "akamaster/resnet20",
                                           "torchvision/vgg16_bn", "timm/vgg16_bn",
                                           "timm/mobilenetv1_100", "cadene/bninception"),
                         [](const auto& one) {
                           std::string name = one.param;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

TEST(Layout, SaysWhatDoesNotFit) {
  const TempDir dir;
  const Source& own = source("akamaster/resnet20");
  nn::Model model = counted(own);
  Layout layout = layout_of(*model.net, own.naming);
  layout.items.front().theirs = "conv0.weight";
  layout.items.back().shape = {5};
  std::vector<TensorToWrite> tensors;
  for (const Item& item : layout.items)
    tensors.push_back(
        {item.theirs, ElementType::f32, item.shape, [&item](const auto& put) {
           put(std::vector<float>(static_cast<std::size_t>(elements_of(item.shape, ""))));
         }});
  write_safetensors(dir / "w.safetensors", std::move(tensors), {});
  const auto file = open_weights(dir / "w.safetensors");
  const Fit how = fit(layout_of(*model.net, own.naming), *file, clean_names(*file));
  EXPECT_EQ(how.missing, std::vector<std::string>{"conv1.weight"});
  EXPECT_EQ(how.left_over, std::vector<std::string>{"conv0.weight"});
  ASSERT_EQ(how.reshaped.size(), 1u);
  EXPECT_EQ(how.reshaped[0], "linear.bias: [5], expected [7]");
  EXPECT_THROW(load(layout_of(*model.net, own.naming), *file, clean_names(*file)), Error);
}

TEST(Layout, RefusesValuesThatAreNone) {
  const TempDir dir;
  const Source& own = source("akamaster/resnet20");
  for (const char* name : {"layer1.0.bn1.running_var", "conv1.weight"}) {
    nn::Model model = counted(own);
    const Layout layout = layout_of(*model.net, own.naming);
    for (const Item& item : layout.items)
      if (item.theirs == name)
        item.tensor->set(3, std::string(name) == "conv1.weight" ? NAN : -1.0);
    write(layout, dir / "w.safetensors");
    const auto file = open_weights(dir / "w.safetensors");
    try {
      load(layout, *file, clean_names(*file));
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
}

TEST(Names, LoseWhatWrappersPutBeforeThem) {
  class Named final : public WeightFile {
   public:
    explicit Named(std::vector<std::string> names) {
      for (std::string& name : names) tensors.push_back({std::move(name), ElementType::f32, {}});
    }
    void read(const std::vector<bool>&, const ValueSink&) const override {}
  };
  const CleanNames names = clean_names(
      Named({"_orig_mod.module.conv.weight", "_orig_mod.module.bn.num_batches_tracked"}));
  EXPECT_EQ(names.prefix, "_orig_mod.module.");
  EXPECT_EQ(names.names, (std::vector<std::string>{"conv.weight", ""}));
  EXPECT_EQ(clean_names(Named({"module.a", "b"})).prefix, "");
  // A name may be empty: it is no counter, and has no end of prefixes.
  EXPECT_EQ(clean_names(Named({""})).names, std::vector<std::string>{"(no name)"});
  EXPECT_EQ(clean_names(Named({"", "module.a"})).counters, 0);
}

}  // namespace
}  // namespace exciton::interop::testing
