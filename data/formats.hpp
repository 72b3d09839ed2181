/// The readers behind open_dataset, one a format, with what tests want to vary.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exciton/data/dataset.hpp"

namespace exciton::data {

/// The binary layout of CIFAR (Krizhevsky, "Learning multiple layers of features from tiny images",
/// 2009). A record is one label byte (CIFAR-100: a coarse one, then the fine one), then 1024 bytes
/// each of red, green and blue, rows from the top. Files have exactly `records` records. The
/// "python version" has the same in pickled dicts, of any number of images: "data", an array [N,
/// 3072] of unsigned bytes, and a list of labels.
struct CifarFormat {
  std::string kind, title;
  std::vector<std::string> train_files, test_files;
  std::int64_t train_records = 0, test_records = 0;  ///< in each file
  std::int64_t coarse_classes = 0;                   ///< 0: the record has no coarse label byte
  std::vector<std::string> class_names;              ///< used when there is no names_file
  std::string names_file, folder;
  /// The python version.
  struct Pickled {
    std::vector<std::string> train_files, test_files;
    std::string labels, names_file, names, folder;  ///< `labels`, `names`: keys
  } python;
};
CifarFormat cifar10_format();
CifarFormat cifar100_format();

/// Where files of this format lie: `dir` or one of its usual subfolders; the binary version first.
std::optional<std::filesystem::path> find_cifar(const CifarFormat& format,
                                                const std::filesystem::path& dir);
/// Whether the files of a split are there, all or the first of them.
bool has_cifar(const CifarFormat& format, const std::filesystem::path& where,
               const std::string& split);
/// `where` as found by find_cifar. Errors name file, record, what was wanted and what came.
std::shared_ptr<const Dataset> open_cifar(const CifarFormat& format,
                                          const std::filesystem::path& where,
                                          const std::string& split);

/// The folder of the MNIST or Fashion-MNIST files (which have the same names): `dir` or one of the
/// subfolders in which other programs put them.
std::optional<std::filesystem::path> find_idx(const std::filesystem::path& dir);
/// Whether the images of a split are there.
bool has_idx(const std::filesystem::path& where, const std::string& split);
/// "mnist" or "fashion-mnist" for a folder found by find_idx: told apart by the first labels.
std::string idx_kind(const std::filesystem::path& where);
std::shared_ptr<const Dataset> open_idx(const std::string& kind, const std::filesystem::path& where,
                                        const std::string& split);

/// A split of an image folder (data/folder_layout.hpp): <class>/**/*.jpg, .png, ... (any case), or
/// images with a list of labels (data/label_list.hpp). "test" without labels is val. Classes are
/// the folders of train that have images, in byte order of their names; without train, those of the
/// split itself; without any, the lines of synsets.txt, synset_words.txt or classes.txt, and at
/// last the labels of the list in byte order. Images are in class order, then in byte order of
/// their paths; listed ones in byte order of their paths. All images become RGB. What is not used
/// is told by left_out(). Errors: no such split, no labels, a class that train has not.
std::shared_ptr<const Dataset> open_folder(const std::filesystem::path& dir,
                                           const std::string& split,
                                           std::size_t memory_limit = std::size_t{512} << 20);

/// True when `dir` (or its folder filelist_places365-standard) has a file list of Places365.
bool is_places365(const std::filesystem::path& dir);
/// Zhou et al., "Places: a 10 million image database for scene recognition" (2017): file lists, the
/// order of categories_places365.txt, images in data_256, val_256, data_large, val_large.
std::shared_ptr<const Dataset> open_places365(const std::filesystem::path& dir,
                                              const std::string& split,
                                              std::size_t memory_limit = std::size_t{512} << 20);

/// Whether that split, train or val, has a list.
bool has_places365(const std::filesystem::path& dir, const std::string& split);

/// The tar files of a split: DIR/<split>*.tar and DIR/<split>/*.tar in byte order; val may also be
/// called valid, validation or dev.
std::vector<std::filesystem::path> find_shards(const std::filesystem::path& dir,
                                               const std::string& split);
/// Tar files in the layout of WebDataset, read in place. A sample is the members that share a path
/// up to the first dot of the name: an image, and a "cls" with the label as text: a class name or
/// number. Without a cls the name of the image's folder is the class. Class names come from
/// DIR/classes.txt, one a line; else they are what the labels of train say, in byte order, or, when
/// all are numbers, 0 to the largest. Images come in the order of the files.
std::shared_ptr<const Dataset> open_webdataset(const std::filesystem::path& dir,
                                               const std::string& split);

}  // namespace exciton::data
