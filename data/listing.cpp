#include "exciton/data/listing.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <set>
#include <utility>

#include "exciton/core/error.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

constexpr std::array<std::string_view, 15> read_endings{".jpg",  ".jpeg", ".jpe", ".jfif", ".png",
                                                        ".webp", ".gif",  ".bmp", ".dib",  ".tif",
                                                        ".tiff", ".ppm",  ".pgm", ".pbm",  ".pnm"};
constexpr std::array<std::string_view, 18> other_image_endings{
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".tga", ".psd", ".svg",
    ".ico",  ".exr",  ".hdr",  ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw"};

/// ".jpg" of "x/a.b.JPG"; empty without a dot.
std::string ending_of(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || name.find('/', dot) != std::string_view::npos) return "";
  std::string out(name.substr(dot));
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

template <std::size_t n>
bool has(const std::array<std::string_view, n>& endings, std::string_view ending) {
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

/// What tells one folder of the system from another, by whatever path it was reached.
using FolderId = std::pair<dev_t, ino_t>;
FolderId id_of(const fs::path& dir) {
  struct stat status = {};
  const bool known = ::stat(dir.c_str(), &status) == 0;
  return known ? FolderId{status.st_dev, status.st_ino} : FolderId{0, 0};
}

/// Calls each(name, is_folder) for what lies in `dir`, in the order of the system, until it returns
/// false.
template <class F>
void for_each_entry(const fs::path& dir, F&& each) {
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::error_code none;
    if (!each(it->path().filename().string(), it->is_directory(none))) return;
  }
  check(!error, "data: cannot list ", dir.string(), ": ", error.message());
}

/// The folders around `dir`: those in which it really lies, and those that lead to it from `top`.
std::vector<FolderId> folders_around(const fs::path& dir, const fs::path& top) {
  std::vector<FolderId> out;
  const auto add_parents = [&](fs::path real) {
    while (real.has_relative_path()) {
      real = real.parent_path();
      out.push_back(id_of(real));
    }
  };
  std::error_code none;
  add_parents(fs::canonical(dir, none));
  if (top.empty()) return out;
  add_parents(fs::canonical(top, none));
  fs::path way = top;
  for (const fs::path& part : dir.lexically_relative(top)) {
    if (part == ".") break;
    out.push_back(id_of(way));
    way /= part;
  }
  return out;
}

/// Goes through a folder and the folders below it. Hidden folders and links to a folder around them
/// count as files that are left out.
class Walk {
 public:
  /// Takes a path below the root, and why it is no image (empty: it is one). False ends the walk.
  using Each = std::function<bool(const std::string& path, const std::string& reason)>;

  Walk(const fs::path& root, const fs::path& top, Each each)
      : root_(root), each_(std::move(each)), around_(folders_around(root, top)) {}
  /// Does not list again a folder to which several links lead.
  Walk& once() {
    once_ = true;
    return *this;
  }
  void run() { visit(""); }

 private:
  bool visit(const std::string& below) {
    const fs::path dir = below.empty() ? root_ : root_ / below;
    const FolderId id = id_of(dir);
    if (std::find(around_.begin(), around_.end(), id) != around_.end())
      return each_(below, "a link to a folder around it");
    if (once_ && !seen_.insert(id).second) return true;
    around_.push_back(id);
    std::vector<std::string> folders;
    bool more = true;
    for_each_entry(dir, [&](const std::string& name, bool is_folder) {
      std::string path = below.empty() ? name : below + '/' + name;
      if (is_folder && !name.starts_with('.'))
        folders.push_back(std::move(path));
      else
        more = each_(path, reason_to_leave_out(name));
      return more;
    });
    for (const std::string& folder : folders) more = more && visit(folder);
    around_.pop_back();
    return more;
  }

  const fs::path root_;
  const Each each_;
  bool once_ = false;
  std::vector<FolderId> around_;  // those around the root, and those that are being listed
  std::set<FolderId> seen_;
};

}  // namespace

std::string_view last_part(std::string_view name) {
  return name.substr(name.rfind('/') + 1);  // npos + 1 is 0
}

bool is_image_name(std::string_view name) { return reason_to_leave_out(name).empty(); }

std::string reason_to_leave_out(std::string_view name) {
  if (last_part(name).starts_with('.')) return "hidden";
  const std::string ending = ending_of(name);
  if (has(read_endings, ending)) return "";
  if (has(other_image_endings, ending)) return "an image format that is not read (" + ending + ")";
  constexpr std::size_t longest = 16;  // longer ones are names with a dot somewhere
  return ending.empty() || ending.size() > longest ? "without the ending of an image"
                                                   : "ending " + ending + " is no image's";
}

std::vector<std::string> image_files(const fs::path& dir, const std::string& prefix,
                                     LeftOut& left_out, const fs::path& used, const fs::path& top) {
  std::vector<std::string> images;
  std::vector<std::pair<std::string, std::string>> others;  // path and reason
  Walk(dir, top, [&](const std::string& path, const std::string& reason) {
    if (reason.empty())
      images.push_back(path);
    else
      others.emplace_back(path, reason);
    return true;
  }).run();
  std::sort(images.begin(), images.end());
  std::sort(others.begin(), others.end());
  for (const auto& [name, reason] : others)
    if (used.empty() || dir / name != used) left_out.add(reason, prefix + name);
  return images;
}

bool has_image(const fs::path& dir, const fs::path& top) {
  bool found = false;
  Walk(dir, top,
       [&](const std::string&, const std::string& reason) {
         found = reason.empty();
         return !found;
       })
      .once()
      .run();
  return found;
}

std::vector<std::string> files_in(const fs::path& dir) {
  std::vector<std::string> names;
  for_each_entry(dir, [&](std::string name, bool is_folder) {
    if (!is_folder) names.push_back(std::move(name));
    return true;
  });
  std::sort(names.begin(), names.end());
  return names;
}

void leave_out_files(const fs::path& dir, const std::string& prefix, LeftOut& left_out) {
  for (const std::string& name : files_in(dir)) {
    const std::string reason = reason_to_leave_out(name);
    left_out.add(reason.empty() ? "beside the class folders" : reason, prefix + name);
  }
}

std::string as_utf8(const std::string& name) {
  const auto byte = [&](std::size_t i) {
    return i < name.size() ? static_cast<unsigned char>(name[i]) : 0u;
  };
  bool valid = true;
  for (std::size_t i = 0; i < name.size() && valid;) {
    const unsigned first = byte(i);
    const std::size_t more = first < 0x80                    ? 0
                             : first >= 0xC2 && first < 0xE0 ? 1
                             : first >= 0xE0 && first < 0xF0 ? 2
                             : first >= 0xF0 && first < 0xF5 ? 3
                                                             : 4;
    valid = more < 4;
    for (std::size_t k = 1; k <= more && valid; ++k) valid = (byte(i + k) & 0xC0) == 0x80;
    // Not the shortest form, half a pair, or beyond the last character.
    const unsigned second = byte(i + 1);
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0) ||
        (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90))
      valid = false;
    i += more + 1;
  }
  if (valid) return name;
  std::string out;
  for (const char c : name) {
    const auto value = static_cast<unsigned char>(c);
    if (value < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | value >> 6);
      out += static_cast<char>(0x80 | (value & 0x3F));
    }
  }
  return out;
}

std::vector<std::string> folders_in(const fs::path& dir) {
  std::vector<std::string> names;
  for_each_entry(dir, [&](std::string name, bool is_folder) {
    if (is_folder && !name.starts_with('.')) names.push_back(std::move(name));
    return true;
  });
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace exciton::data
