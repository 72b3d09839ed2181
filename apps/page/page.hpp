/// One HTML page that needs nothing else: style, charting library (Chart.js), our script and the
/// data are in it, so it opens from disk, in a mail, in ten years.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "exciton/train/json.hpp"

namespace exciton::apps {

/// `script` is the file in apps/page/ that draws `data` ("inspect.js"); base.js comes before it.
std::string make_page(const std::string& title, std::string_view script, const train::Json& data);

/// Errors: `path` is in a folder that is not there. For the start of long work.
void check_page_path(const std::filesystem::path& path);

/// make_page, written atomically. Errors: as check_page_path, or the system's.
void write_page(const std::filesystem::path& path, const std::string& title,
                std::string_view script, const train::Json& data);

/// `value` with so many significant digits: what a page needs, in a third of the bytes. A number
/// that is not finite becomes null.
train::Json rounded(double value, int digits = 5);
/// The same for a list.
template <class Range>
train::Json rounded_list(const Range& values, int digits = 5) {
  train::Json out = train::Json::array();
  for (const auto v : values) out.push_back(rounded(static_cast<double>(v), digits));
  return out;
}

/// Bytes as base64 text (RFC 4648).
std::string base64(std::string_view bytes);

}  // namespace exciton::apps
