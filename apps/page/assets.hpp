/// Files of apps/page/ and of the charting library, carried by the program
/// (cmake/EmbedFiles.cmake).
#pragma once
#include <string_view>

namespace exciton::apps {

/// Contents of the file of that name ("base.css", "chart.min.js"). Errors: no such file.
std::string_view asset(std::string_view name);

}  // namespace exciton::apps
