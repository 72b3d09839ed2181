#include "exciton/data/jpeg.hpp"

#include <csetjmp>
#include <cstdio>
// libjpeg's header wants the two above it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/data/exif.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

/// More passes over the image than any encoder writes; each costs as much as decoding.
constexpr int max_scans = 200;

}  // namespace

/// libjpeg reports errors by a call that must not return; it jumps back to `run`.
struct JpegFile::State {
  explicit State(std::string file) : name(std::move(file)) {
    jpeg.err = jpeg_std_error(&errors);
    jpeg.client_data = this;
    errors.error_exit = [](j_common_ptr common) {
      State& self = of(common);
      common->err->format_message(common, self.message);
      std::longjmp(self.escape, 1);
    };
    errors.emit_message = [](j_common_ptr common, int level) {
      if (level >= 0) return;  // a trace
      const int code = common->err->msg_code;
      if (code != JWRN_JPEG_EOF && code != JWRN_HIT_MARKER) return;  // stray bytes: a good image
      State& self = of(common);
      common->err->format_message(common, self.message);
      self.missing = true;
    };
    progress.progress_monitor = [](j_common_ptr common) {
      if (reinterpret_cast<j_decompress_ptr>(common)->input_scan_number <= max_scans) return;
      State& self = of(common);
      std::snprintf(self.message, sizeof self.message, "more than %d scans", max_scans);
      std::longjmp(self.escape, 1);
    };
  }
  ~State() { jpeg_destroy_decompress(&jpeg); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static State& of(j_common_ptr common) { return *static_cast<State*>(common->client_data); }

  /// f() calls libjpeg and owns nothing, for a jump skips its end. False: `message` says why.
  template <class F>
  bool run(F&& f) {
    if (setjmp(escape) != 0) return false;
    f();
    return true;
  }

  std::string name;
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  char message[JMSG_LENGTH_MAX] = "";
  bool missing = false;  ///< data ended early; libjpeg fills up with grey
  int orientation = 1;

  /// What libjpeg keeps of an image that comes in several scans: every coefficient, in 16 bits.
  std::int64_t coefficient_bytes() {
    if (jpeg_has_multiple_scans(&jpeg) == FALSE) return 0;
    std::int64_t blocks = 0;
    for (int c = 0; c < jpeg.num_components; ++c)
      blocks +=
          std::int64_t{jpeg.comp_info[c].width_in_blocks} * jpeg.comp_info[c].height_in_blocks;
    return blocks * DCTSIZE2 * static_cast<std::int64_t>(sizeof(JCOEF));
  }

  void check_good(bool good) const {
    check(good && !missing, "image: ", name, ": damaged or truncated JPEG: ", message);
  }
};

JpegFile::JpegFile(std::span<const std::uint8_t> bytes, std::string name)
    : state_(std::make_unique<State>(std::move(name))) {
  State& s = *state_;
  s.check_good(s.run([&] {
    jpeg_create_decompress(&s.jpeg);
    s.jpeg.mem->max_memory_to_use = max_image_memory;
    s.jpeg.progress = &s.progress;
    jpeg_save_markers(&s.jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_mem_src(&s.jpeg, bytes.data(), bytes.size());
    jpeg_read_header(&s.jpeg, TRUE);
  }));
  check_extent(s.name, s.jpeg.image_width, s.jpeg.image_height);
  check_memory(s.name, s.coefficient_bytes());
  for (auto* marker = s.jpeg.marker_list; marker != nullptr; marker = marker->next)
    if (const int turn = exif_orientation({marker->data, marker->data_length}); turn != 1)
      s.orientation = turn;
}

JpegFile::~JpegFile() = default;

Size JpegFile::size() const { return {state_->jpeg.image_height, state_->jpeg.image_width}; }
int JpegFile::orientation() const { return state_->orientation; }
std::int64_t JpegFile::channels() const { return state_->jpeg.num_components; }

JpegFile::Area JpegFile::decode(int reduction, Area area, std::int64_t channels, Image& out) {
  State& s = *state_;
  jpeg_decompress_struct& jpeg = s.jpeg;
  const bool cmyk = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  JDIMENSION left = static_cast<JDIMENSION>(area.left), width = static_cast<JDIMENSION>(area.width);
  s.check_good(s.run([&] {
    jpeg.scale_num = 1;
    jpeg.scale_denom = static_cast<unsigned>(reduction);
    jpeg.out_color_space = cmyk ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&jpeg);
    if (width < jpeg.output_width) jpeg_crop_scanline(&jpeg, &left, &width);
  }));
  const auto rows = static_cast<JDIMENSION>(area.height);
  area.left = left;
  area.width = width;
  out.height = area.height;
  out.width = area.width;
  out.channels = channels;
  std::vector<std::uint8_t> inks;
  std::vector<std::uint8_t>& pixels = cmyk ? inks : out.pixels;
  const std::size_t stride = std::size_t{width} * static_cast<std::size_t>(jpeg.output_components);
  check_memory(s.name, s.coefficient_bytes() + static_cast<std::int64_t>(stride) * area.height);
  pixels.resize(stride * rows);
  const bool good = s.run([&] {
    if (area.top > 0) jpeg_skip_scanlines(&jpeg, static_cast<JDIMENSION>(area.top));
    for (JDIMENSION row = 0; row < rows;) {
      JSAMPROW to[] = {pixels.data() + row * stride};
      row += jpeg_read_scanlines(&jpeg, to, 1);
    }
    if (jpeg.output_scanline == jpeg.output_height) jpeg_finish_decompress(&jpeg);
  });
  s.check_good(good);
  if (cmyk) store_cmyk(inks, jpeg.saw_Adobe_marker, out);
  return area;
}

}  // namespace exciton::data
