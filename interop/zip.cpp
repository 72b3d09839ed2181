#include "exciton/interop/zip.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <map>
#include <memory>
#include <set>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"

namespace exciton::interop {
namespace {

/// More than any network has tensors.
constexpr std::size_t max_entries = 1'000'000;

class Reading {
 public:
  Reading(const std::filesystem::path& path, const std::string& who)
      : who_(who),
        file_(path, File::Mode::read, "weights"),
        in_(archive_read_new(), &archive_read_free) {
    check(in_ != nullptr, who_, ": no memory to read it");
    archive_read_support_format_zip_seekable(in_.get());
    if (archive_read_open_fd(in_.get(), file_.descriptor(), 1 << 16) != ARCHIVE_OK) wrong();
  }
  /// The next entry, or nullptr.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(in_.get(), &entry);
    if (code == ARCHIVE_EOF) return nullptr;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) wrong();
    check(archive_entry_is_encrypted(entry) == 0, who_, ": is encrypted");
    return entry;
  }
  void read(std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size()) {
      const la_ssize_t got = archive_read_data(in_.get(), out.data() + done, out.size() - done);
      if (got < 0) wrong();
      check(got > 0, who_, ": an entry of the archive is shorter than its table says");
      done += static_cast<std::size_t>(got);
    }
  }
  /// After the last byte of an entry: only the call behind it compares the checksum.
  void end() {
    std::byte none;
    const la_ssize_t got = archive_read_data(in_.get(), &none, 1);
    if (got < 0) wrong();
    check(got == 0, who_, ": an entry of the archive is longer than its table says");
  }

 private:
  [[noreturn]] void wrong() const {
    const char* text = archive_error_string(in_.get());
    fail(who_, ": not a whole zip archive: ", text ? text : "unknown error");
  }
  const std::string& who_;
  File file_;
  std::unique_ptr<archive, decltype(&archive_read_free)> in_;
};

std::string name_of_entry(archive_entry* entry, const std::string& who) {
  const char* name = archive_entry_pathname(entry);
  check(name != nullptr, who, ": an entry of the archive has no readable name");
  return name;
}

}  // namespace

Zip::Zip(std::filesystem::path path, std::string who)
    : path_(std::move(path)), who_(std::move(who)) {
  Reading in(path_, who_);
  std::set<std::string> names;
  while (archive_entry* entry = in.next()) {
    if (archive_entry_filetype(entry) == AE_IFDIR) continue;
    check(entries_.size() < max_entries, who_, ": more than ", max_entries, " entries");
    std::string name = name_of_entry(entry, who_);
    check(names.insert(name).second, who_, ": two entries of the archive are named ",
          shortened(name, 100));
    check(archive_entry_size_is_set(entry) != 0 && archive_entry_size(entry) >= 0, who_,
          ": the size of ", shortened(name, 100), " is not told");
    entries_.push_back({std::move(name), static_cast<std::uint64_t>(archive_entry_size(entry))});
  }
}

std::size_t Zip::find(const std::string& name) const {
  std::size_t i = 0;
  while (i < entries_.size() && entries_[i].name != name) ++i;
  return i;
}

void Zip::visit(const std::vector<bool>& wanted,
                const std::function<void(std::size_t, const Read&)>& visit) const {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (wanted[i]) places.emplace(entries_[i].name, i);
  Reading in(path_, who_);
  while (!places.empty()) {
    archive_entry* entry = in.next();
    check(entry != nullptr, who_, ": has changed while it was read");
    const auto found = places.find(name_of_entry(entry, who_));
    if (found == places.end()) continue;
    std::uint64_t left = entries_[found->second].bytes;
    visit(found->second, [&in, &left](std::span<std::byte> out) {
      in.read(out);
      left -= out.size();
    });
    if (left == 0) in.end();
    places.erase(found);
  }
}

std::vector<std::uint8_t> Zip::contents(std::size_t entry, std::uint64_t at_most) const {
  const std::uint64_t bytes = entries_.at(entry).bytes;
  check(bytes <= at_most, who_, ": ", shortened(entries_[entry].name, 100), " has ", bytes,
        " bytes, at most ", at_most, " are expected");
  std::vector<bool> wanted(entries_.size());
  wanted[entry] = true;
  std::vector<std::uint8_t> out;
  visit(wanted, [&](std::size_t, const Read& read) {
    // In pieces: what a table says of a packed entry may be a lie.
    constexpr std::size_t piece = std::size_t{1} << 20;
    while (out.size() < bytes) {
      const std::size_t begin = out.size();
      out.resize(std::min<std::size_t>(begin + piece, static_cast<std::size_t>(bytes)));
      read(std::as_writable_bytes(std::span(out).subspan(begin)));
    }
  });
  return out;
}

}  // namespace exciton::interop
