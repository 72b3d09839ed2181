#include <algorithm>
#include <charconv>
#include <deque>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include "exciton/data/file_dataset.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/data/label_list.hpp"
#include "exciton/data/listing.hpp"
#include "exciton/data/tar.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

/// Where an image lies.
struct Place {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0, shard = 0;
};

/// Tar files that are read in place, of which only some are open at a time: a set may have more of
/// them than a process may have files. Thread-safe.
class Shards {
 public:
  explicit Shards(std::vector<fs::path> paths) : paths_(std::move(paths)), open_(paths_.size()) {}
  std::shared_ptr<const OpenFile> at(std::size_t shard) const {
    const std::scoped_lock lock(mutex_);
    if (open_[shard]) return open_[shard];
    auto file = std::make_shared<const OpenFile>(paths_[shard]);
    constexpr std::size_t most = 128;
    if (order_.size() >= most) {
      open_[order_.front()].reset();  // who reads from it still holds it
      order_.pop_front();
    }
    order_.push_back(shard);
    return open_[shard] = std::move(file);
  }

 private:
  std::vector<fs::path> paths_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const OpenFile>> open_;
  mutable std::deque<std::size_t> order_;  ///< of those that are open, the oldest first
};

/// Images in tar files.
class TarDataset final : public FileDataset {
 public:
  TarDataset(const fs::path& root, FileIndex index, std::vector<std::string> class_names,
             const std::string& description, LeftOut left_out, std::vector<fs::path> shards,
             std::vector<Place> places)
      : FileDataset(root, std::move(index), std::move(class_names), description,
                    std::move(left_out)),
        shards_(std::move(shards)),
        places_(std::move(places)) {}

  bool fetch(std::int64_t index, std::vector<std::uint8_t>& out) const override {
    check_index(index);
    const Place& place = places_[static_cast<std::size_t>(index)];
    out.resize(place.bytes);
    shards_.at(place.shard)->read(place.offset, place.bytes, out.data());
    return true;
  }
  void prefetch(std::int64_t index) const override {
    check_index(index);
    const Place& place = places_[static_cast<std::size_t>(index)];
    shards_.at(place.shard)->prefetch(place.offset, place.bytes);
  }

 private:
  Shards shards_;
  std::vector<Place> places_;
};

/// One image and its label as it is written.
struct Sample {
  std::string name, label;
  Place place;
};

/// "a/b.c.jpg" -> "a/b": what the members of a sample share.
std::string key_of(const std::string& name) {
  const auto slash = name.rfind('/');
  const auto dot = name.find('.', slash == std::string::npos ? 0 : slash + 1);
  return name.substr(0, dot);
}

std::string folder_of(const std::string& name) {
  return fs::path(name).parent_path().filename().string();
}

/// The text of a "cls" member, without spaces and line ends around it.
std::string label_text(const OpenFile& file, const TarMember& member) {
  check(member.bytes <= 4096, "webdataset: ", file.path().string(), ": ", member.name, " has ",
        member.bytes, " bytes, expected a label");
  std::vector<std::uint8_t> bytes(member.bytes);
  file.read(member.offset, member.bytes, bytes.data());
  const std::string text = text_of(bytes, file.path().string() + ": " + member.name);
  constexpr const char* gaps = " \t\r\n";
  const auto begin = text.find_first_not_of(gaps);
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(gaps) + 1 - begin);
}

/// Appends the samples of a shard, in the order of their first members. The members of a sample
/// need not follow one another.
void add_samples(const OpenFile& file, std::uint32_t shard, std::vector<Sample>& out,
                 LeftOut& left_out) {
  const std::string below = file.path().filename().string() + '/';
  std::unordered_map<std::string, std::size_t> number_of;  // by key
  std::vector<Sample> samples;
  std::vector<std::string> keys;
  const auto sample_of = [&](const std::string& name) -> Sample& {
    const auto [at, fresh] = number_of.emplace(key_of(name), samples.size());
    if (fresh) {
      samples.emplace_back();
      keys.push_back(name);
    }
    return samples[at->second];
  };
  for_each_member(
      file,
      [&](const TarMember& member) {
        if (member.name.ends_with(".cls") && !last_part(member.name).starts_with('.')) {
          sample_of(member.name).label = label_text(file, member);
          return;
        }
        if (const std::string why = reason_to_leave_out(member.name); !why.empty()) {
          left_out.add(why, below + member.name);
          return;
        }
        check(member.bytes <= max_file_bytes, "webdataset: ", file.path().string(), ": ",
              member.name, " has ", member.bytes, " bytes, expected at most ", max_file_bytes);
        Sample& sample = sample_of(member.name);
        check(sample.name.empty(), "webdataset: ", file.path().string(), ": ", sample.name, " and ",
              member.name, " are two images of one sample");
        sample.name = member.name;
        sample.place = {member.offset, static_cast<std::uint32_t>(member.bytes), shard};
      },
      [&](const std::string& name, const std::string& reason) {
        left_out.add(reason, below + name);
      });
  for (std::size_t i = 0; i < samples.size(); ++i) {
    Sample& sample = samples[i];
    if (sample.name.empty()) {
      left_out.add("a label without its image", below + keys[i]);
      continue;
    }
    if (sample.label.empty()) sample.label = folder_of(sample.name);
    check(!sample.label.empty(), "webdataset: ", file.path().string(), ": ", sample.name,
          " has no label: neither a .cls beside it nor a folder around it");
    sample.name = below + sample.name;
    out.push_back(std::move(sample));
  }
}

/// The number that a text is, or -1.
std::int64_t number_in(const std::string& text) {
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? number : -1;
}

std::vector<std::string> classes_of(const std::vector<Sample>& samples) {
  std::set<std::string> labels;
  for (const Sample& sample : samples) labels.insert(sample.label);
  std::int64_t largest = -1;
  for (const std::string& label : labels) {
    const std::int64_t number = number_in(label);
    if (number < 0 || number >= 1'000'000) return {labels.begin(), labels.end()};
    largest = std::max(largest, number);
  }
  constexpr std::int64_t usual = 100'000, by_far = 10;
  check(largest < std::max(usual, by_far * std::ssize(samples)),
        "webdataset: labels are numbers up "
        "to ",
        largest, ", which would be that many classes, but there are ", samples.size(),
        " images; number the classes from 0 on, or name all of them in classes.txt");
  std::vector<std::string> names;
  for (std::int64_t i = 0; i <= largest; ++i) names.push_back(std::to_string(i));
  return names;
}

std::vector<Sample> samples_of(const std::vector<fs::path>& shards, LeftOut& left_out) {
  std::vector<Sample> out;
  for (std::size_t i = 0; i < shards.size(); ++i)
    add_samples(OpenFile(shards[i]), static_cast<std::uint32_t>(i), out, left_out);
  return out;
}

}  // namespace

std::vector<fs::path> find_shards(const fs::path& dir, const std::string& split) {
  std::vector<fs::path> found;
  const auto collect = [&](const fs::path& where, const std::string& prefix) {
    std::error_code error;
    for (fs::directory_iterator it(where, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      std::error_code none;
      if (name.starts_with(prefix) && name.ends_with(".tar") && !it->is_directory(none))
        found.push_back(it->path());
    }
  };
  for (const std::string& name : split == "val"
                                     ? std::vector<std::string>{"val", "valid", "validation", "dev"}
                                     : std::vector{split}) {
    collect(dir, name);
    collect(dir / name, "");
    if (!found.empty()) break;
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::shared_ptr<const Dataset> open_webdataset(const fs::path& dir, const std::string& split) {
  std::vector<fs::path> files = find_shards(dir, split);
  if (files.empty() && split == "test") files = find_shards(dir, "val");
  check(!files.empty(), "webdataset: no ", split, "*.tar in ", dir.string(), " nor *.tar in ",
        (dir / split).string());
  LeftOut left_out, told_by_train;
  const std::vector<Sample> samples = samples_of(files, left_out);

  std::vector<std::string> classes;
  const std::vector<fs::path> train = find_shards(dir, "train");
  if (fs::is_regular_file(dir / "classes.txt"))
    classes = read_lines(dir / "classes.txt");
  else
    classes =
        classes_of(split == "train" || train.empty() ? samples : samples_of(train, told_by_train));

  const ClassNumbers numbers(classes);
  FileIndex index;
  std::vector<Place> places;
  for (const Sample& sample : samples) {
    const std::int64_t number = numbers.of(sample.label);
    check(number >= 0, "webdataset: ", (dir / sample.name).string(), ": label \"", sample.label,
          "\" is none of the ", classes.size(), " classes");
    index.add(sample.name, number);
    places.push_back(sample.place);
  }
  const std::string what = described("WebDataset " + split, index.size(), dir);
  for (std::string& one : classes) one = as_utf8(one);
  return std::make_shared<TarDataset>(dir, std::move(index), std::move(classes), what,
                                      std::move(left_out), std::move(files), std::move(places));
}

}  // namespace exciton::data
