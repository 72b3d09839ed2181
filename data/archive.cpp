#include <archive.h>
#include <archive_entry.h>

#include <fstream>
#include <memory>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/transfer.hpp"

namespace exciton::data {
namespace fs = std::filesystem;

std::int64_t unpack_archive(const fs::path& file, const fs::path& dir) {
  const std::string who = "archive: " + file.string() + ": ";
  const std::unique_ptr<archive, decltype(&archive_read_free)> in(archive_read_new(),
                                                                  &archive_read_free);
  check(in != nullptr, who, "no memory to read it");
  archive_read_support_filter_all(in.get());
  archive_read_support_format_tar(in.get());
  const auto reason = [&] {
    const char* text = archive_error_string(in.get());
    return std::string(text ? text : "unknown error");
  };
  const OpenFile opened(file);
  const bool readable = archive_read_open_fd(in.get(), opened.descriptor(), 1 << 16) == ARCHIVE_OK;
  check(readable, who, reason());

  std::int64_t files = 0;
  std::vector<char> buffer(1 << 20);
  archive_entry* entry = nullptr;
  int code = ARCHIVE_OK;
  while ((code = archive_read_next_header(in.get(), &entry)) == ARCHIVE_OK) {
    const char* raw_name = archive_entry_pathname(entry);
    check(raw_name != nullptr, who, "an entry has no readable name");
    const fs::path name = fs::path(raw_name).lexically_normal();
    const bool inside = !name.empty() && name.is_relative() && *name.begin() != "..";
    check(inside, who, "entry \"", raw_name, "\" would be written outside of ", dir.string());
    const auto type = archive_entry_filetype(entry);
    check((type == AE_IFREG || type == AE_IFDIR) && !archive_entry_hardlink(entry) &&
              !archive_entry_symlink(entry),
          who, "entry \"", raw_name, "\" is a link or a device; a data set has none");

    const fs::path target = dir / name;
    std::error_code error;
    fs::create_directories(type == AE_IFDIR ? target : target.parent_path(), error);
    check(!error, who, "cannot make a folder for ", target.string(), ": ", error.message());
    if (type == AE_IFDIR) continue;

    const fs::path part = target.string() + ".part";
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    la_ssize_t got = 0;
    while (out && (got = archive_read_data(in.get(), buffer.data(), buffer.size())) > 0)
      out.write(buffer.data(), got);
    check(got >= 0, who, reason());
    out.close();
    check(out.good(), who, "cannot write ", part.string(), "; is the disk full?");
    fs::rename(part, target, error);
    check(!error, who, "cannot name ", target.string(), ": ", error.message());
    ++files;
  }
  check(code == ARCHIVE_EOF, who, reason());
  return files;
}

}  // namespace exciton::data
