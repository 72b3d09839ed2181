#include "apps/page/page.hpp"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "apps/page/assets.hpp"
#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;
namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

/// JSON that can stand inside a script element: without '<' nothing in it can end the element.
std::string inside_script(const train::Json& data) {
  std::string out;
  for (const char c : data.dump(-1, ' ', false, train::Json::error_handler_t::replace)) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string make_page(const std::string& title, std::string_view script, const train::Json& data) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n"
      "<title>";
  page += escaped(title);
  page += "</title>\n<style>\n";
  page += asset("base.css");
  page +=
      "</style>\n</head>\n<body>\n<noscript>This page draws its charts with JavaScript; the same "
      "numbers come from --json and --csv.</noscript>\n"
      "<script id=\"data\" type=\"application/json\">";
  page += inside_script(data);
  page += "</script>\n";
  for (const std::string_view file :
       {std::string_view("chart.min.js"), std::string_view("base.js"), script}) {
    page += "<script>\n";
    page += asset(file);
    page += "\n</script>\n";
  }
  return page + "</body>\n</html>\n";
}

void check_page_path(const fs::path& path) {
  const fs::path folder = path.parent_path();
  check(folder.empty() || fs::is_directory(folder), "page: no folder ", folder.string(), " for ",
        path.filename().string(), "; make it first");
}

void write_page(const fs::path& path, const std::string& title, std::string_view script,
                const train::Json& data) {
  check_page_path(path);
  write_text(path, make_page(title, script, data), "page");
}

train::Json rounded(double value, int digits) {
  if (!std::isfinite(value)) return nullptr;
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::strtod(text, nullptr);
}

std::string base64(std::string_view bytes) {
  constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      out += i + j > bytes.size() ? '=' : letters[group >> (18 - 6 * j) & 63];
  }
  return out;
}

}  // namespace exciton::apps
