/// PyTorch's and NumPy's files: values, what is chosen in them, and what is refused by which name.
#include "exciton/interop/weight_file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "exciton/core/error.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/interop/npy.hpp"
#include "tests/interop/support.hpp"
#include "tests/temp_dir.hpp"

namespace exciton::interop::testing {
namespace {

using test_support::TempDir;

std::string names_in(const WeightFile& file) {
  std::string out;
  for (const StoredTensor& t : file.tensors) out += t.name + shape_text(t.shape) + ' ';
  return out;
}

void expect_refusal(const std::string& name, const std::string& says,
                    const OpenOptions& options = {}) {
  const std::string why = refusal(made(name), options);
  EXPECT_NE(why.find(says), std::string::npos) << name << ": " << (why.empty() ? "was read" : why);
  EXPECT_EQ(why.find('\n'), std::string::npos) << name;
}

std::string bytes_in(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(WeightFile, ReadsEveryContainerOfPyTorch) {
  for (const char* name : {"state.pt", "state_old.pth", "state_protocol4.pt"}) {
    const auto file = open_weights(made(name));
    EXPECT_EQ(names_in(*file), "conv.weight[4, 3, 3, 3] conv.bias[4] scalar[] empty[0, 7] ")
        << name;
    const auto values = values_of(*file);
    EXPECT_EQ(values.at("conv.weight"), counting(108)) << name;
    EXPECT_EQ(values.at("conv.bias"), counting(4, 1)) << name;
    EXPECT_EQ(values.at("scalar"), counting(1, 2)) << name;
    EXPECT_TRUE(values.at("empty").empty()) << name;
  }
  EXPECT_EQ(open_weights(made("state.pt"))->container, "PyTorch (zip)");
  EXPECT_EQ(open_weights(made("state_old.pth"))->container, "PyTorch (before 1.6)");
}

TEST(WeightFile, ReadsOldFilesOfEveryProtocol) {
  const std::string old = bytes_in(made("state_old.pth"));
  const std::string magic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  ASSERT_EQ(old.substr(2, magic.size()), magic);
  const TempDir dir;
  for (const std::string& begin : {std::string("L119547037146038801333356L\n."), "\x80\x03" + magic,
                                   "\x80\x04\x95\x0d" + std::string(7, '\0') + magic,
                                   "\x80\x05\x95\x0d" + std::string(7, '\0') + magic}) {
    write_bytes(dir / "state.pth", begin + old.substr(2 + magic.size()));
    EXPECT_EQ(values_of(*open_weights(dir / "state.pth")).at("conv.weight"), counting(108))
        << begin;
  }
}

TEST(WeightFile, ChecksumsOfStoredEntriesAreCompared) {
  const TempDir dir;
  std::string bytes = bytes_in(made("state.pt"));
  const std::vector<float> values = counting(108);
  const std::string stored(reinterpret_cast<const char*>(values.data()),
                           values.size() * sizeof(float));
  const std::size_t at = bytes.find(stored);
  ASSERT_NE(at, std::string::npos);
  char& last = bytes[at + stored.size() - 1];
  last = static_cast<char>(last ^ 1);
  write_bytes(dir / "state.pt", bytes);
  std::string why;
  try {
    values_of(*open_weights(dir / "state.pt"));
  } catch (const Error& error) {
    why = error.what();
  }
  EXPECT_NE(why.find("CRC"), std::string::npos) << why;
}

TEST(WeightFile, GathersViewsOfSharedStorage) {
  for (const char* name : {"strides.pt", "strides_old.pth"}) {
    const auto values = values_of(*open_weights(made(name)));
    EXPECT_EQ(values.at("whole"), counting(24)) << name;
    EXPECT_EQ(values.at("tied"), counting(24)) << name;
    EXPECT_EQ(values.at("row"), counting(6, 12)) << name;
    EXPECT_EQ(values.at("block"), (std::vector<float>{8, 9, 10, 14, 15, 16})) << name;
    EXPECT_EQ(values.at("transposed"),
              (std::vector<float>{0, 6, 12, 18, 1, 7,  13, 19, 2, 8,  14, 20,
                                  3, 9, 15, 21, 4, 10, 16, 22, 5, 11, 17, 23}));
    EXPECT_EQ(values.at("expanded"), (std::vector<float>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}))
        << name;
    EXPECT_EQ(values.at("channels_last"), counting(24)) << name;
  }
}

TEST(WeightFile, ReadsEveryTypeOfNumber) {
  const auto file = open_weights(made("types.pt"));
  const auto values = values_of(*file);
  ASSERT_EQ(values.size(), 9u);
  for (const auto& [name, own] : values)
    EXPECT_EQ(own, name == "boolean" ? (std::vector<float>{1, 0, 1}) : counting(3, 1)) << name;
}

TEST(WeightFile, FindsTheDictionaryOfTensors) {
  for (const char* name : {"training.pth", "training_old.pth"}) {
    const auto file = open_weights(made(name));
    EXPECT_EQ(file->key, "state_dict") << name;
    EXPECT_EQ(
        names_in(*file),
        "module.conv.weight[4, 3, 3, 3] module.conv.bias[4] module.scalar[] module.empty[0, 7] ");
    EXPECT_EQ(values_of(*file).at("module.conv.weight"), counting(108)) << name;
    EXPECT_EQ(
        values_of(*open_weights(made(name), {.key = "optimizer.state.0"})).at("momentum_buffer"),
        counting(4));
    EXPECT_NE(refusal(made(name), {.key = "state"})
                  .find("the keys there are epoch, args, best, own, optimizer, state_dict"),
              std::string::npos)
        << refusal(made(name), {.key = "state"});
  }
  expect_refusal("averaged.pth", "state_dict, state_dict_ema; choose one by its key");
  EXPECT_EQ(open_weights(made("averaged.pth"), {.key = "state_dict_ema"})->tensors.size(), 4u);
}

TEST(WeightFile, RefusesByName) {
  expect_refusal("list.pt", "holds a list");
  expect_refusal("module.pt", "torch.nn.modules.linear.Linear");
  expect_refusal("script.pt", "TorchScript");
  expect_refusal("sparse.pt", "sparse");
  expect_refusal("quantised.pt", "quantised");
  expect_refusal("big_endian.npy", "big-endian");
  expect_refusal("objects.npy", "Python objects");
  expect_refusal("arrays.npz", "a key is for PyTorch", {.key = "x"});
}

TEST(WeightFile, ReadsNumPysArrays) {
  const auto values = values_of(*open_weights(made("arrays.npz")));
  EXPECT_EQ(values.at("conv.weight"), counting(6));
  EXPECT_EQ(values.at("fortran"), counting(6));
  EXPECT_EQ(values.at("half"), counting(3));
  EXPECT_EQ(values.at("flag"), (std::vector<float>{1, 0}));
  EXPECT_EQ(values_of(*open_weights(made("packed.npz"))).at("w"), counting(100));
  EXPECT_EQ(read_npy(made("logits.npy")).shape(), (Shape{2, 3}));
}

/// Every file of ours, cut short and with single bytes changed: an error of one line or a value,
/// and nothing else.
TEST(WeightFile, DamageIsAnErrorOrAValue) {
  const TempDir dir;
  for (const auto& entry : std::filesystem::directory_iterator(EXCITON_TEST_FILES)) {
    const std::string bytes = bytes_in(entry.path());
    for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 60) {
      write_bytes(dir / "f", bytes.substr(0, cut));
      EXPECT_NE(refusal(dir / "f"), "") << entry.path() << " cut to " << cut;
    }
    for (std::size_t i = 0; i < bytes.size(); i += 1 + bytes.size() / 150) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (i % 2 ? 0x55 : 0x01));
      write_bytes(dir / "f", changed);
      refusal(dir / "f");
    }
  }
}

TEST(WeightFile, OfMadeAndHostileFiles) {
  const auto folder = real("files/made");
  if (!folder) GTEST_SKIP() << "EXCITON_INTEROP is not set";
  const auto at = [&](const char* name) { return *folder / name; };
  for (const char* name :
       {"strides_zip.pt", "strides_legacy.pt", "strides_protocol4.pt", "rezipped_deflate.pt",
        "namespace.pt", "numpy_scalars.pt", "imagenet_example.pth.tar", "good_by_hand.pt",
        "state.safetensors", "state.npz", "state_deflate.npz", "fortran.npy", "f16.npy", "bool.npy",
        "scalar.npy"})
    EXPECT_EQ(refusal(at(name)), "") << name;
  for (const char* name :
       {"bad_negative.pt", "bad_numel.pt", "bad_overflow.pt", "bad_reach.pt", "bad_stride.pt",
        "big_endian.npy", "object.npy", "list.pt", "one_tensor.pt", "oldest_tar.pth",
        "timm_ema.pth.tar", "torchscript.pt", "whole_model.pt", "whole_model_legacy.pt"})
    EXPECT_NE(refusal(at(name)), "") << name;
  EXPECT_EQ(refusal(at("timm_ema.pth.tar"), {.key = "state_dict_ema"}), "");
  // What would be called stays a value: the file is data.
  for (const char* name : {"evil.pt", "evil_legacy.pt"}) refusal(at(name));
  // 2^40 elements in 637 bytes: opened, and no memory taken for them.
  const auto bomb = open_weights(at("bomb_expand.pt"));
  ASSERT_EQ(bomb->tensors.size(), 1u);
  EXPECT_EQ(elements_of(bomb->tensors[0].shape, "bomb"), std::int64_t{1} << 40);
  EXPECT_NE(refusal(at("bomb_expand.pt")), "");
}

}  // namespace
}  // namespace exciton::interop::testing
