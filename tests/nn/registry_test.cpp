#include "exciton/nn/registry.hpp"
#include "tests/error_of.hpp"

#include <gtest/gtest.h>

#include <set>

namespace exciton::nn {
namespace {

using test_support::error_of;

TEST(Registry, KnowsEveryModelPlainAndWithSE) {
  std::set<std::string> names;
  for (const auto& e : model_registry().entries()) {
    names.insert(e.name);
    EXPECT_EQ(e.se, e.name.starts_with("se_") || e.name == "senet154");
  }
  EXPECT_EQ(names.size(), model_registry().entries().size());
  for (const std::string name :
       {"resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet164", "preresnet110",
        "preresnet164", "wrn16_8", "shake_shake26_2x96d", "shake_even29_2x4x64d", "resnet18",
        "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x4d"}) {
    EXPECT_TRUE(names.contains(name)) << name;
    EXPECT_TRUE(names.contains("se_" + name)) << name;
  }
  EXPECT_TRUE(names.contains("senet154"));
}

TEST(Registry, FamiliesHaveTheirOwnDefaults) {
  const Model cifar = make_model("se_resnet20"), imagenet = make_model("resnet18");
  EXPECT_EQ(cifar.options.classes, 10);
  EXPECT_EQ(cifar.image_size, 32);
  EXPECT_TRUE(cifar.options.se.enabled);
  EXPECT_EQ(imagenet.options.classes, 1000);
  EXPECT_EQ(imagenet.image_size, 224);
  EXPECT_FALSE(imagenet.options.se.enabled);
}

TEST(Registry, UnknownNamesAreAnsweredWithTheNearest) {
  const std::string message = error_of([] { make_model("se_resnet21"); });
  EXPECT_NE(message.find("se_resnet21"), std::string::npos) << message;
  EXPECT_NE(message.find("se_resnet20"), std::string::npos) << message;
  // Nothing is near this, so nothing is proposed, and all are named.
  const std::string strange = error_of([] { make_model("transformer_xl"); });
  EXPECT_EQ(strange.find("nearest"), std::string::npos) << strange;
  EXPECT_NE(strange.find("known are "), std::string::npos) << strange;
  EXPECT_NE(strange.find("senet154"), std::string::npos) << strange;
}

TEST(Registry, OptionsAFamilyCannotFollowAreErrors) {
  const auto message = [](const char* name, const ModelOptions& options) {
    return error_of([&] { make_model(name, options); });
  };
  EXPECT_NE(message("resnet20", {.shortcut = "identity"}).find("zero_pad"), std::string::npos);
  EXPECT_NE(message("resnet20", {.stem = "3x3"}).find("stem"), std::string::npos);
  EXPECT_NE(message("resnet18", {.stem = "5x5"}).find("7x7"), std::string::npos);
  EXPECT_NE(message("resnet20", {.stride_on = "3x3"}).find("stride_on"), std::string::npos);
  EXPECT_NE(message("resnet50", {.stride_on = "2x2"}).find("1x1"), std::string::npos);
  EXPECT_NE(message("resnet20", {.se = {.enabled = true}}).find("se_resnet20"), std::string::npos);
  EXPECT_NE(message("resnet20", {.classes = -1}).find("classes"), std::string::npos);
  EXPECT_NE(message("resnet20", {.dropout = 1}).find("dropout"), std::string::npos);
  EXPECT_NE(message("se_resnet20", {.se = {.reduction = 0}}).find("reduction"), std::string::npos);
  EXPECT_NE(message("se_resnet20", {.se = {.squeeze = "sum"}}).find("avg"), std::string::npos);
  EXPECT_NE(message("se_resnet20", {.se = {.gate = "step"}}).find("step"), std::string::npos);
  EXPECT_NE(message("resnet20", {.blocks = {1, 1}}).find("3, got 2"), std::string::npos);
  EXPECT_NE(message("resnet20", {.blocks = {1, 0, 1}}).find("got 0"), std::string::npos);
  EXPECT_NE(message("wrn17_8", {}).find("6 n + 4"), std::string::npos);
  EXPECT_NE(message("wrn16", {}).find("unknown name"), std::string::npos);
  EXPECT_NE(message("senet154", {.stem = "7x7"}).find("stem"), std::string::npos);
  EXPECT_NE(message("resnext50_32x4d", {.stem = "3x3"}).find("7x7"), std::string::npos);
}

TEST(Registry, TwoModelsOfOneNameAreAnError) {
  Registry r;
  r.add({.name = "a", .image_size = 1, .classes = 1, .se = false, .make = {}});
  EXPECT_THROW(r.add({.name = "a", .image_size = 1, .classes = 1, .se = false, .make = {}}), Error);
}

TEST(Registry, SeedsDecideTheWeights) {
  const auto first = [](std::uint64_t seed) {
    const Model m = make_model("resnet20", {}, seed);
    return parameters(*m.net).front().parameter->value().at(3);
  };
  EXPECT_EQ(first(1), first(1));
  EXPECT_NE(first(1), first(2));
}

}  // namespace
}  // namespace exciton::nn
