/// Tables for other programs (CSV, RFC 4180).
#pragma once
#include <charconv>
#include <concepts>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"

namespace exciton::apps {

/// A table that is written line by line, so that it takes no memory, under another name until
/// close(): where that never comes, nothing stays behind. What is no regular file (a pipe,
/// /dev/stdout) is written to as it is.
class CsvFile {
 public:
  /// `who` begins every message. Errors: the file cannot be made.
  CsvFile(std::filesystem::path path, std::string who)
      : path_(std::move(path)), who_(std::move(who)), written_(place(path_)), out_(written_) {
    check(out_.good(), who_, ": cannot write ", path_.string(),
          "; is its folder there, the disk full, or the folder read-only?");
  }
  ~CsvFile() {
    if (arrived_) return;
    out_.close();
    std::error_code none;
    if (written_ != path_) std::filesystem::remove(written_, none);
  }
  CsvFile(const CsvFile&) = delete;
  CsvFile& operator=(const CsvFile&) = delete;

  /// In quotes where it must be.
  CsvFile& cell(std::string_view text) {
    separate();
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
      out_ << text;
      return *this;
    }
    out_ << '"';
    for (const char c : text) out_ << (c == '"' ? "\"\"" : std::string(1, c));
    out_ << '"';
    return *this;
  }
  CsvFile& cell(const char* text) { return cell(std::string_view(text)); }
  CsvFile& cell(const std::string& text) { return cell(std::string_view(text)); }
  CsvFile& cell(std::integral auto value) { return cell(std::string_view(std::to_string(value))); }
  CsvFile& cell(std::floating_point auto value) {
    char text[40];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;  // shortest exact form
    return cell(std::string_view(text, static_cast<std::size_t>(end - text)));
  }
  void end() {
    out_ << '\n';
    first_ = true;
  }
  /// Errors: a full disk and the like.
  void close() {
    out_.close();
    check(out_.good(), who_, ": cannot write ", path_.string(), "; is the disk full?");
    std::error_code failed;
    if (written_ != path_) std::filesystem::rename(written_, path_, failed);
    check(!failed, who_, ": cannot write ", path_.string(), ": ", failed.message());
    arrived_ = true;
  }

 private:
  static std::filesystem::path place(const std::filesystem::path& path) {
    std::error_code none;
    const bool as_it_is = std::filesystem::exists(path, none) &&
                          !std::filesystem::is_regular_file(path, none) &&
                          !std::filesystem::is_directory(path, none);
    return as_it_is ? path : temporary_beside(path);
  }
  void separate() {
    if (!first_) out_ << ',';
    first_ = false;
  }
  std::filesystem::path path_;
  std::string who_;
  std::filesystem::path written_;
  std::ofstream out_;
  bool first_ = true, arrived_ = false;
};

}  // namespace exciton::apps
