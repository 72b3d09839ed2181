#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "exciton/data/file_dataset.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/folder_layout.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/label_list.hpp"
#include "exciton/data/listing.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

/// Class names when there is no folder that has them: from a file, or from the list itself.
std::vector<std::string> listed_classes(const fs::path& dir, const std::vector<LabelLine>& lines) {
  for (const char* name : {"synsets.txt", "synset_words.txt", "classes.txt"}) {
    if (!fs::is_regular_file(dir / name)) continue;
    std::vector<std::string> names;
    for (const std::string& line : read_lines(dir / name))
      names.push_back(line.substr(0, line.find_first_of(" \t")));
    return names;
  }
  std::set<std::string> names;
  for (const LabelLine& line : lines) names.insert(line.label);
  return {names.begin(), names.end()};
}

std::string without_ending(const std::string& file) {
  return fs::path(file).lexically_normal().replace_extension().string();
}

/// Labels of a list by file: by its path without the ending, and by its name alone where that says
/// the same everywhere.
class ListedLabels {
 public:
  ListedLabels(const fs::path& list_file, const std::vector<LabelLine>& lines)
      : list_file_(list_file) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      add(by_path_, without_ending(lines[i].file), lines, i);
      add(by_name_, fs::path(lines[i].file).stem().string(), lines, i);
    }
  }
  /// The number of the line that a file belongs to. Errors: none, or several that differ.
  std::size_t line_of(const std::string& file) const {
    const auto path = by_path_.find(without_ending(file));
    const auto name = by_name_.find(fs::path(file).stem().string());
    if (path != by_path_.end() && path->second != ambiguous) return path->second;
    check(name != by_name_.end(), "folder: ", list_file_.string(), " has no label for ", file);
    check(name->second != ambiguous, "folder: ", list_file_.string(), " has several labels for ",
          file);
    return name->second;
  }

 private:
  static constexpr auto ambiguous = static_cast<std::size_t>(-1);
  using Lines = std::unordered_map<std::string, std::size_t>;

  static void add(Lines& to, const std::string& key, const std::vector<LabelLine>& lines,
                  std::size_t line) {
    const auto [at, is_new] = to.emplace(key, line);
    if (!is_new && at->second != ambiguous && lines[at->second].label != lines[line].label)
      at->second = ambiguous;
  }

  const fs::path list_file_;
  Lines by_path_, by_name_;
};

/// Adds a flat folder of images to `index`, with the labels of a list. Lines whose file is not
/// there are left out.
void add_listed(const fs::path& dir, const fs::path& root, const fs::path& list_file,
                const std::vector<LabelLine>& lines, const std::vector<std::string>& classes,
                FileIndex& index, LeftOut& left_out) {
  const std::string below = root.lexically_relative(dir).string() + '/';
  LeftOut others;
  const std::vector<std::string> files = image_files(root, below, others, list_file, dir);
  const ClassNumbers numbers(classes);
  const auto add = [&](const std::string& file, const std::string& label) {
    const std::int64_t number = numbers.of(label);
    check(number >= 0, "folder: ", list_file.string(), ": ", file, ": \"", label,
          "\" is none of the ", classes.size(), " classes");
    index.add(below + file, number);
  };
  if (lines.front().file.empty()) {
    check(lines.size() == files.size(), "folder: ", list_file.string(), " has ", lines.size(),
          " labels, ", root.string(), " has ", files.size(), " images");
    for (std::size_t i = 0; i < files.size(); ++i) add(files[i], lines[i].label);
  } else {
    const ListedLabels labels(list_file, lines);
    std::vector<bool> used(lines.size());
    for (const std::string& file : files) {
      const std::size_t line = labels.line_of(file);
      used[line] = true;
      add(file, lines[line].label);
    }
    std::unordered_set<std::string> there;
    for (const std::string& file : files) there.insert(without_ending(file));
    const std::string called = list_file.filename().string();
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (used[i]) continue;
      const std::string named = without_ending(lines[i].file);
      const bool twice = there.contains(named) ||
                         (named.starts_with(below) && there.contains(named.substr(below.size())));
      left_out.add(twice ? "named more than once in " + called
                         : "named in " + called + ", but not in " + below,
                   lines[i].file);
    }
  }
  left_out.add(others);
}

/// The class folders of a split that have images, in byte order; the others go to `left_out`, with
/// what lies in them.
std::vector<std::string> filled(const fs::path& base, const FolderSplit& split,
                                const std::string& below, LeftOut& left_out) {
  std::vector<std::string> out;
  for (const std::string& name : split.folders) {
    if (has_image(split.root / name, base)) {
      out.push_back(name);
      continue;
    }
    left_out.add("a class folder without images", below + name);
    image_files(split.root / name, below + name + '/', left_out, {}, base);
  }
  return out;
}

/// Adds split/<class>/**/<image>. `all` are the class folders of train, with or without images.
void add_classes(const fs::path& base, const FolderSplit& split, const std::string& below,
                 const std::vector<std::string>& classes, const FolderSplit* train,
                 FileIndex& index, LeftOut& left_out) {
  leave_out_files(split.root, below, left_out);
  for (const std::string& name : filled(base, split, below, left_out)) {
    const auto found = std::lower_bound(classes.begin(), classes.end(), name);
    const bool known = found != classes.end() && *found == name;
    const bool empty_in_train = train && std::find(train->folders.begin(), train->folders.end(),
                                                   name) != train->folders.end();
    check(known || empty_in_train, "folder: ", (split.root / name).string(), " is no class of ",
          train ? train->root.string() : "the data");
    const std::string prefix = below + name + '/';
    for (const std::string& file : image_files(split.root / name, prefix, left_out, {}, base)) {
      if (known)
        index.add(prefix + file, found - classes.begin());
      else
        left_out.add("of a class without train images", prefix + file);
    }
  }
}

/// Images that lie beside the folders of splits, or in other folders there.
void leave_out_beside(const fs::path& base, LeftOut& left_out) {
  const std::string reason = "beside the folders of splits";
  for (const std::string& name : files_in(base))
    if (is_image_name(name)) left_out.add(reason, name);
  for (const std::string& folder : folders_in(base)) {
    if (names_split(folder)) continue;
    try {
      LeftOut others;
      for (const std::string& file : image_files(base / folder, folder + '/', others, {}, base))
        left_out.add(reason, folder + '/' + file);
    } catch (const Error&) {
      left_out.add("a folder beside those of splits that cannot be listed", folder);
    }
  }
}

}  // namespace

std::shared_ptr<const Dataset> open_folder(const fs::path& dir, const std::string& name,
                                           std::size_t memory_limit) {
  const FolderLayout layout = folder_layout(dir);
  const FolderSplit* split = layout.find(name);
  if (name == "test" && (!split || !split->labelled()))
    if (const FolderSplit* val = layout.find("val")) split = val;
  check(split != nullptr, "folder: no folder ", (dir / name).string(),
        name == "test" ? " nor val beside it" : "", "; expected ", name, "/<class>/<image>.jpg");
  check(split->labelled(), "folder: ", split->root.string(),
        " has no class folders, and no list of labels lies beside it; see docs/data.md");
  const std::string below = layout.flat ? "" : split->root.filename().string() + '/';
  const std::vector<LabelLine> lines =
      split->list ? read_label_list(*split->list) : std::vector<LabelLine>{};

  FileIndex index;
  LeftOut left_out;
  const FolderSplit* train = layout.find("train");
  const FolderSplit& named = train ? *train : *split;
  LeftOut told_by_train;  // again, when that split is opened
  std::vector<std::string> classes = filled(layout.base, named, below, told_by_train);
  if (classes.empty() && split->list) classes = listed_classes(layout.base, lines);
  check(!classes.empty(), "folder: ", named.root.string(), " has no class folders with images; ",
        "expected ", named.name, "/<class>/<image>.jpg");
  if (split->list)
    add_listed(layout.base, split->root, *split->list, lines, classes, index, left_out);
  else
    add_classes(layout.base, *split, below, classes, train, index, left_out);
  if (!layout.flat && &named == split) leave_out_beside(layout.base, left_out);
  check(index.size() > 0, "folder: ", split->root.string(), " has no images");
  for (std::string& one : classes) one = as_utf8(one);
  const std::string what = described("folder " + name, index.size(), dir);
  return in_memory_if_small(
      std::make_shared<FileDataset>(layout.base, std::move(index), std::move(classes), what,
                                    std::move(left_out)),
      memory_limit);
}

std::shared_ptr<const Dataset> open_images(const fs::path& dir) {
  check(fs::is_directory(dir), "data: no folder \"", dir.string(), "\"");
  LeftOut left_out;
  const std::vector<std::string> files = image_files(dir, "", left_out);
  check(!files.empty(), "data: ", dir.string(), " has no images");
  FileIndex index;
  for (const std::string& file : files) index.add(file, 0);
  const std::string what = described("images", index.size(), dir);
  const fs::path absolute = fs::absolute(dir).lexically_normal();
  const fs::path last = absolute.has_filename() ? absolute : absolute.parent_path();
  return std::make_shared<FileDataset>(dir, std::move(index),
                                       std::vector<std::string>{last.filename().string()}, what,
                                       std::move(left_out));
}

}  // namespace exciton::data
