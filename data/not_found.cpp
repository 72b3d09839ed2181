#include "exciton/data/not_found.hpp"

#include <algorithm>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/data/fetch.hpp"
#include "exciton/data/folder_layout.hpp"
#include "exciton/data/listing.hpp"

namespace exciton::data {
namespace fs = std::filesystem;

namespace {

/// What people have that is not read, when a file in `dir` tells so; ends a message.
std::string known_but_not_read(const fs::path& dir) {
  static const std::vector<std::pair<std::string, std::string>> endings{
      {".mat", "SVHN's .mat files are not read: save the images into one folder a class"},
      {".npz", "numpy's files are not read: save the images into one folder a class"},
      {".npy", "numpy's files are not read: save the images into one folder a class"},
      {".parquet", "Parquet files are not read: save the images into one folder a class"},
      {".tfrecord", "TFRecord files are not read: save the images into one folder a class"},
      {".zip", "unpack it first"},
      {".tar.gz", "unpack it first"},
      {".tgz", "unpack it first"},
      {".tar.bz2", "unpack it first"},
      {".tar.xz", "unpack it first"},
      {".tar.zst", "unpack it first"},
      {".rar", "unpack it first"},
      {".7z", "unpack it first"},
      {".tar",
       "it is an archive: unpack it first, or, where it holds samples of WebDataset, call it "
       "train.tar"}};
  for (const std::string& name : files_in(dir)) {
    if (name.starts_with("emnist-"))
      return "; there is " + name +
             ": EMNIST is not read. It is MNIST's format under other names, "
             "with transposed images, and letters numbered from 1";
    if (name.ends_with(".idx3-ubyte") || name.ends_with(".idx3-ubyte.gz")) {
      std::string wanted = name;
      wanted[name.rfind(".idx3")] = '-';
      return "; there is " + name + ": the four files are read under names like " + wanted +
             ", so rename them";
    }
    for (const auto& [ending, advice] : endings)
      if (name.ends_with(ending)) return "; there is " + name + ": " + advice;
  }
  return "";
}

/// True when nothing lies in `dir` but hidden files and a download that is not finished.
bool holds_nothing(const fs::path& dir) {
  const std::vector<std::string> files = files_in(dir);
  return folders_in(dir).empty() && std::all_of(files.begin(), files.end(), [](const auto& name) {
           return name.starts_with('.') || name.ends_with(".part");
         });
}

std::string images_text(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " image" : " images");
}

/// Why the images in `dir` are no data set; ends a message. Empty: there are none.
std::string images_found(const fs::path& dir) {
  const auto direct = [](const fs::path& where) -> std::int64_t {
    const std::vector<std::string> files = files_in(where);
    return std::count_if(files.begin(), files.end(), is_image_name);
  };
  const auto filled = [](const fs::path& where) {
    std::vector<std::string> out = folders_in(where);
    std::erase_if(out, [&](const std::string& name) { return !has_image(where / name, where); });
    return out;
  };
  std::vector<std::string> folders = filled(dir);
  if (const std::int64_t images = direct(dir); images > 0)
    return "; " + images_text(images) + (images == 1 ? " lies" : " lie") +
           " directly in it, but classes are folders: expected two or more folders <class>/*.jpg; "
           "if it is the folder of one class, name the folder that holds it";
  if (folders.empty()) return "";
  const std::string only = folders.front();
  fs::path below = dir;
  constexpr int deepest = 8;
  for (int level = 0; level < deepest && folders.size() == 1; ++level) {
    below /= folders.front();
    if (!folder_layout(below).splits.empty())
      return "; its images lie deeper: name the folder " + below.string();
    if (direct(below) > 0) break;
    folders = filled(below);
  }
  LeftOut others;
  const auto count = static_cast<std::int64_t>(image_files(dir / only, "", others, {}, dir).size());
  return "; only one folder with images lies in it, " + only + " (" + images_text(count) +
         "); expected two or more, one a class";
}

/// The kind that "auto" finds in `dir`; ends a message.
std::string other_kind(const std::string& kind, const fs::path& dir) {
  if (kind == "auto") return "";
  try {
    return "; it holds a data set of kind " + find_layout("auto", dir).kind;
  } catch (const Error&) {
    return "";
  }
}

/// What lies in `dir` in place of a data set; ends a message.
std::string found_instead(const std::string& kind, const fs::path& dir) {
  if (const std::string other = other_kind(kind, dir); !other.empty()) return other;
  const std::string text = known_but_not_read(dir) + images_found(dir);
  if (!text.empty()) return text;
  std::vector<std::string> names = files_in(dir);
  for (const std::string& folder : folders_in(dir)) names.push_back(folder + '/');
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
  const std::size_t count = names.size();
  constexpr std::size_t most = 3;
  names.resize(std::min(count, most));
  return "; there are no images in it, but " + listed(names) + (count > most ? ", ..." : "");
}

}  // namespace

bool can_be_fetched(const std::string& kind) {
  const Catalogue& known = official_catalogue();
  return std::any_of(known.begin(), known.end(),
                     [&](const RemoteDataset& d) { return d.name == kind; });
}

void fail_to_find(const std::string& kind, const fs::path& dir,
                  const std::vector<std::string>& looked_for) {
  const std::string none =
      "data: no data set in " + dir.string() + "; looked for " + listed(looked_for);
  const bool empty = holds_nothing(dir);
  if (empty && kind == "auto") throw NotFound(none, official_catalogue().front().name, dir);
  if (empty && can_be_fetched(kind)) throw NotFound(none, kind, dir);
  fail(none, empty ? "; the folder is empty" : found_instead(kind, dir));
}

}  // namespace exciton::data
