/// A trained network as a file for other programs, and the proof that it computes the same: what
/// `exciton export` does.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/core/tensor.hpp"
#include "exciton/interop/onnx/interpreter.hpp"
#include "exciton/train/import.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {

/// Logits of the same images by two programs.
struct Comparison {
  std::int64_t images = 0;
  double difference = 0;  ///< the largest of one logit
  double largest = 0;     ///< |logit|
  std::int64_t changed =
      0;               ///< images of another class, where the margin is above twice the difference
  bool noise = false;  ///< the images were noise: there were no others
  double tolerance = 1e-4;  ///< of the largest logit, or of 1
  double allowed() const { return tolerance * (largest > 1 ? largest : 1); }
  bool agrees() const { return difference <= allowed() && changed == 0; }
  /// "64 images: logits differ by at most 3e-06 (allowed 0.0012), no class changes"
  std::string text() const;
};
/// Errors: logits of different shapes. NaN agree with nothing.
Comparison compare_logits(const Tensor& expected, const Tensor& got);

/// Of an import and the logits [N, classes] in a .npy file, which another program had for the first
/// N test images of `data`. Errors: they do not agree; no data.
Comparison compare_with_golden(const Imported& imported, const std::filesystem::path& golden,
                               const std::string& data);

struct ExportOptions {
  std::string to;                    ///< names and shapes of a source; "": our own
  std::string dtype = "f32";         ///< of the weights in safetensors: "f32" or "bf16"
  bool fold = false;                 ///< ONNX: batch norms within the convolutions before them
  std::string input = "normalized";  ///< ONNX: or "pixels", 0 to 255
  std::string data;                  ///< whose images are compared; "": the run's
};

struct Exported {
  Comparison proof;
  std::string names;  ///< "exciton", or the source
  std::int64_t tensors = 0, bytes = 0;
  std::vector<std::string> notes;
  interop::onnx::Array input;  ///< ONNX: what the graph was shown
  Tensor logits;               ///< the network's own
};

/// Writes .safetensors or .onnx, reads what it wrote back, and compares its logits with the
/// network's; of bf16 with those of the network with its weights rounded, which may be off by 0.05
/// of the largest. The file appears under its name only when they agree. Errors: another ending; an
/// option that is none or not that ending's; a source whose network has other options; what has no
/// form there; logits that differ; the system's.
Exported export_run(const std::filesystem::path& run, const std::filesystem::path& out,
                    const ExportOptions& options, const Warn& warn = {});

}  // namespace exciton::train
