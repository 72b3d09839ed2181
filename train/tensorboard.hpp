/// Event files that TensorBoard reads.
///
/// A file is a row of records (TFRecord): u64 length, u32 masked CRC-32C of those 8 bytes, the
/// data, u32 masked CRC-32C of it, all little endian. mask(c) = rotate_right(c, 15) + 0xa282ead8.
/// The data is a protocol buffer: Event { 1: double wall_time, 2: int64 step, 3: string
/// file_version, 5: Summary { 1: Value { 1: string tag, 2: float simple_value } } }.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace exciton::train {

/// CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.
std::uint32_t crc32c(std::string_view bytes);

/// The scalars of one step as a record. `seconds` since 1970.
std::string event_record(double seconds, std::int64_t step,
                         const std::vector<std::pair<std::string, double>>& scalars);

/// The event file of a run, RUN/tensorboard/events.out.tfevents.0000000001.exciton: a step an
/// epoch, a scalar a number of log.jsonl.
class EventFile {
 public:
  /// Begins the file afresh with what the log holds already: JSON objects, a line each. Errors: the
  /// system's.
  EventFile(const std::filesystem::path& run, const std::vector<std::string>& log);
  /// Appends a line of the log. Errors: the system's.
  void add(const std::string& line);

 private:
  std::filesystem::path path_;
};

}  // namespace exciton::train
