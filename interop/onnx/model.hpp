/// An ONNX model (onnx.ai, IR version 8, opset 17) as values, and its file.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace exciton::interop::onnx {

using Attribute = std::variant<std::int64_t, float, std::vector<std::int64_t>>;

struct Node {
  std::string type;  ///< "Conv"
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Attribute> attributes;
};

/// A constant. Weights are written from where they are: `values` gives them to `put`, in pieces of
/// any length and in order.
struct Initializer {
  std::string name;
  std::vector<std::int64_t> shape;
  std::function<void(const std::function<void(std::span<const float>)>& put)> values;
  std::vector<std::int64_t> integers;  ///< instead, of type i64
};

/// A network with one input [N, C, H, W], N of any size, and one output [N, classes], both f32.
struct Model {
  std::string input = "input", output = "logits";
  std::vector<std::int64_t> input_shape;   ///< C, H, W
  std::vector<std::int64_t> output_shape;  ///< behind N: the number of classes
  std::vector<Node> nodes;                 ///< in an order in which they can run
  std::vector<Initializer> initializers;
  std::map<std::string, std::string> metadata;
};

inline constexpr std::int64_t opset = 17, ir_version = 8;

/// Writes the file in one step, weights as they come. Errors: more than 2 GiB, which protocol
/// buffers cannot hold; the system's.
void write(const std::filesystem::path& path, const Model& model);

/// What a file has: as it stands there, weights by their place in it.
struct FileModel {
  struct Constant {
    std::vector<std::int64_t> shape;
    std::int64_t type = 0;  ///< ONNX's: 1 f32, 7 i64
    std::uint64_t offset = 0, bytes = 0;
  };
  std::int64_t ir_version = 0, opset = 0;
  std::vector<Node> nodes;
  std::map<std::string, Constant> constants;
  std::vector<std::string> inputs, outputs;  ///< of the graph, constants left out
  std::map<std::string, std::string> metadata;
};

/// Errors: no ONNX model, cut short, a graph with parts that are not read (subgraphs, sparse or
/// external tensors).
FileModel read(const std::filesystem::path& path);

}  // namespace exciton::interop::onnx
