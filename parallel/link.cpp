#include "exciton/parallel/link.hpp"

#include <charconv>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <system_error>

#include "exciton/core/error.hpp"

namespace exciton::ranks {
namespace {

/// Takes a number with its unit from the front of `text`.
std::optional<double> take(std::string_view& text, std::string_view unit) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.starts_with(unit)) return std::nullopt;
  text.remove_prefix(unit.size());
  return value;
}

}  // namespace

std::string LinkSpec::text() const {
  std::ostringstream out;
  out << gbit << " Gbit/s and " << latency_ms << " ms";
  return out.str();
}

LinkSpec parse_link(const std::string& text) {
  std::string_view rest = text;
  const std::optional<double> gbit = take(rest, "Gbit/s,"), ms = take(rest, "ms");
  check(gbit && ms && rest.empty() && *gbit >= 1e-6 && *gbit <= 1e6 && *ms >= 0 && *ms <= 1e4,
        "parallel: EXCITON_LINK is a rate from 0.000001 to 1000000 Gbit/s and a latency of up to "
        "10000 ms, as in 10Gbit/s,0.1ms; got \"",
        text, "\"");
  return {.gbit = *gbit, .latency_ms = *ms};
}

std::optional<LinkSpec> link_from_environment() {
  const char* text = std::getenv("EXCITON_LINK");
  if (!text || !*text) return std::nullopt;
  return parse_link(text);
}

}  // namespace exciton::ranks
