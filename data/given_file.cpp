#include "exciton/data/given_file.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <string_view>
#include <vector>

#include "exciton/data/image.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

using namespace std::string_view_literals;
using Kind = GivenFile::Kind;

/// The beginning of a regular file.
std::string beginning_of(const fs::path& path) {
  constexpr std::size_t enough = 512;
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return "";
  std::string out(enough, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(file.gcount()));
  return out;
}

/// "zip", or "" for what is no archive.
std::string archive_of(std::string_view begin) {
  struct Magic {
    std::size_t at;
    std::string_view bytes;
    const char* name;
  };
  constexpr std::array magics{Magic{0, "PK\x03\x04"sv, "zip"},
                              Magic{257, "ustar"sv, "tar"},
                              Magic{0, "\x1f\x8b"sv, "gzip"},
                              Magic{0, "BZh"sv, "bzip2"},
                              Magic{0,
                                    "\xfd"
                                    "7zXZ"sv,
                                    "xz"},
                              Magic{0, "\x28\xb5\x2f\xfd"sv, "zstd"},
                              Magic{0, "7z\xbc\xaf"sv, "7z"},
                              Magic{0, "Rar!"sv, "rar"}};
  for (const Magic& magic : magics)
    if (begin.size() >= magic.at && begin.substr(magic.at).starts_with(magic.bytes))
      return magic.name;
  return "";
}

bool holds_weights(const fs::path& path, std::string_view begin) {
  static constexpr std::array endings{".safetensors"sv, ".pth"sv,  ".pt"sv,
                                      ".npz"sv,         ".ckpt"sv, ".onnx"sv};
  return begin.starts_with("EXCITON\x1a"sv) ||
         std::ranges::find(endings, path.extension().string()) != endings.end();
}

}  // namespace

GivenFile look_at_file(const fs::path& path) {
  const std::string begin = beginning_of(path);
  if (begin.empty()) return {Kind::unknown, "a file", ""};
  if (holds_weights(path, begin))
    return {Kind::weights, "a file of weights", "; it is what a recipe names as init.weights"};
  const std::string archive = archive_of(begin);
  if (archive == "tar")
    return {Kind::archive, "a tar archive",
            "; unpack it, and give the folder; or, where it holds samples of WebDataset, call it "
            "train.tar, and give the folder it lies in"};
  if (!archive.empty())
    return {Kind::archive, "a " + archive + " archive", "; unpack it, and give the folder"};
  if (is_image(std::vector<std::uint8_t>(begin.begin(), begin.end())))
    return {Kind::image, "an image", "; give the folder that holds a folder for each class"};
  return {Kind::unknown, "a file", ""};
}

}  // namespace exciton::data
