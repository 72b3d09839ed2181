/// What a file is that somebody gives where a folder of images or a recipe is wanted.
#pragma once
#include <filesystem>
#include <string>

namespace exciton::data {

struct GivenFile {
  enum class Kind { unknown, archive, image, weights };
  Kind kind = Kind::unknown;
  std::string what;    ///< "a zip archive"; of an unknown kind "a file"
  std::string advice;  ///< "; unpack it, and ..."; empty where there is none
};

/// By its first bytes and, where these do not tell, by the ending of its name. What cannot be read
/// is of an unknown kind: who opens it says why.
GivenFile look_at_file(const std::filesystem::path& path);

}  // namespace exciton::data
