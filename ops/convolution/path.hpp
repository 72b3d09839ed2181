/// Which implementations of convolution the user lets run.
#pragma once

namespace exciton::ops {

/// The environment variable EXCITON_CONV, for tests and comparisons:
///   auto      whichever is fastest for the shape (default)
///   direct    oneDNN alone; Winograd's kernels, and those of 1x1 windows, off
///   winograd  Winograd's kernels also for bf16 maps that the processor multiplies natively
///   own       the own direct convolution alone (ops/convolution/direct.hpp)
enum class ConvPath { automatic, direct, winograd, own };

/// Read once. Errors: EXCITON_CONV is none of these words.
ConvPath conv_path();

}  // namespace exciton::ops
