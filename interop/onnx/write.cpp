#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/interop/onnx/model.hpp"
#include "exciton/interop/onnx/protobuf.hpp"
#include "exciton/interop/weight_file.hpp"

namespace exciton::interop::onnx {
namespace {

constexpr std::int64_t type_f32 = 1, type_i64 = 7;

Message attribute(const std::string& name, const Attribute& value) {
  Message out;
  out.text(1, name);
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    out.integer(3, *integer).integer(20, 2);
  } else if (const auto* real = std::get_if<float>(&value)) {
    out.real(2, *real).integer(20, 1);
  } else {
    for (const std::int64_t one : std::get<std::vector<std::int64_t>>(value)) out.integer(8, one);
    out.integer(20, 7);
  }
  return out;
}

Message node(const Node& from) {
  Message out;
  for (const std::string& input : from.inputs) out.text(1, input);
  for (const std::string& output : from.outputs) out.text(2, output);
  out.text(3, from.outputs.front()).text(4, from.type);
  for (const auto& [name, value] : from.attributes) out.message(5, attribute(name, value));
  return out;
}

/// f32 [N, ...]
Message value_info(const std::string& name, const std::vector<std::int64_t>& behind_n) {
  Message shape, tensor, type, out;
  shape.message(1, Message().text(2, "N"));
  for (const std::int64_t extent : behind_n) shape.message(1, Message().integer(1, extent));
  tensor.integer(1, type_f32).message(2, shape);
  type.message(1, tensor);
  out.text(1, name).message(2, type);
  return out;
}

/// A constant without its bytes: what stands before them in its message, and how many follow.
struct Constant {
  const Initializer* from;
  std::string head;
  std::uint64_t bytes;
};

Constant constant(const Initializer& from) {
  Message head;
  for (const std::int64_t extent : from.shape) head.integer(1, extent);
  head.integer(2, from.values ? type_f32 : type_i64).text(8, from.name);
  const auto count = static_cast<std::uint64_t>(elements_of(from.shape, from.name));
  check(from.values || count == from.integers.size(), "onnx: ", from.name, ": ",
        from.integers.size(), " values for ", shape_text(from.shape));
  const std::uint64_t bytes = count * (from.values ? sizeof(float) : sizeof(std::int64_t));
  head.length(9, bytes);
  return {&from, head.bytes(), bytes};
}

}  // namespace

void write(const std::filesystem::path& path, const Model& model) {
  // Lengths stand before contents, so all but the weights is made first.
  Message nodes, ends;
  for (const Node& one : model.nodes) nodes.message(1, node(one));
  nodes.text(2, "exciton");
  ends.message(11, value_info(model.input, model.input_shape))
      .message(12, value_info(model.output, model.output_shape));
  std::vector<Constant> constants;
  std::uint64_t graph_bytes = nodes.bytes().size() + ends.bytes().size();
  for (const Initializer& one : model.initializers) {
    constants.push_back(constant(one));
    const std::uint64_t own = constants.back().head.size() + constants.back().bytes;
    graph_bytes += Message().length(5, own).bytes().size() + own;
  }
  constexpr std::uint64_t most = (std::uint64_t{1} << 31) - (1 << 20);
  check(graph_bytes < most, "onnx: ", path.string(), ": ", graph_bytes >> 20,
        " MiB; a file holds at most 2 GiB");
  Message head, tail;
  head.integer(1, ir_version).text(2, "exciton").length(7, graph_bytes);
  tail.message(8, Message().text(1, "").integer(2, opset));
  for (const auto& [key, value] : model.metadata)
    tail.message(14, Message().text(1, key).text(2, value));

  replace_file(path, "onnx", "; make room, or choose another folder", [&](File& file) {
    const auto put = [&](const std::string& bytes) { file.write(bytes.data(), bytes.size()); };
    put(head.bytes());
    put(nodes.bytes());
    for (const Constant& one : constants) {
      put(Message().length(5, one.head.size() + one.bytes).bytes());
      put(one.head);
      std::uint64_t written = 0;
      const auto put_values = [&](std::span<const float> values) {
        file.write(values.data(), values.size_bytes());
        written += values.size_bytes();
      };
      if (one.from->values) {
        one.from->values(put_values);
      } else {
        file.write(one.from->integers.data(), one.from->integers.size() * sizeof(std::int64_t));
        written = one.bytes;
      }
      check(written == one.bytes, "onnx: ", one.from->name, ": ", written,
            " bytes of values, expected ", one.bytes);
    }
    put(ends.bytes());
    put(tail.bytes());
  });
}

}  // namespace exciton::interop::onnx
