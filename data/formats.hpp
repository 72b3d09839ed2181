/// The readers behind open_dataset, one a format, with what tests want to vary.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace exciton::data {

/// The binary layout of CIFAR (Krizhevsky, "Learning multiple layers of features from tiny images",
/// 2009). A record is one label byte (CIFAR-100: a coarse one, then the fine one), then 1024 bytes
/// each of red, green and blue, rows from the top. Files have exactly `records` records.
struct CifarFormat {
  std::string kind, title;
  std::vector<std::string> train_files, test_files;
  std::int64_t train_records = 0, test_records = 0;  ///< in each file
  std::int64_t coarse_classes = 0;                   ///< 0: the record has no coarse label byte
  std::vector<std::string> class_names;              ///< used when there is no names_file
  std::string names_file, folder;
};
CifarFormat cifar10_format();
CifarFormat cifar100_format();

/// Where files of this format lie: `dir` or its usual subfolder.
std::optional<std::filesystem::path> find_cifar(const CifarFormat& format,
                                                const std::filesystem::path& dir);
/// `where` as found by find_cifar. Errors name file, record, what was wanted and what came.
std::shared_ptr<const Dataset> open_cifar(const CifarFormat& format,
                                          const std::filesystem::path& where,
                                          const std::string& split);

/// The folder of the MNIST or Fashion-MNIST files (which have the same names): `dir` or one of the
/// subfolders in which other programs put them.
std::optional<std::filesystem::path> find_idx(const std::filesystem::path& dir);
/// "mnist" or "fashion-mnist" for a folder found by find_idx: told apart by the first labels.
std::string idx_kind(const std::filesystem::path& where);
std::shared_ptr<const Dataset> open_idx(const std::string& kind, const std::filesystem::path& where,
                                        const std::string& split);

/// True when `dir` has a folder train, test or val with folders in it.
bool is_image_folder(const std::filesystem::path& dir);
/// `dir`/<split>/<class>/*.{jpg,jpeg,png} (any case); the split "test" may also be called val.
/// Classes are the folders of train in byte order of their names (of the split itself, when there
/// is no train), images are in class order, then in byte order of their names. Grey and CMYK images
/// become RGB. Equal images of together at most `memory_limit` bytes are decoded once, now.
std::shared_ptr<const Dataset> open_folder(const std::filesystem::path& dir,
                                           const std::string& split,
                                           std::size_t memory_limit = std::size_t{512} << 20);

}  // namespace exciton::data
