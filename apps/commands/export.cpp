/// exciton export
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/terminal/child_process.hpp"
#include "apps/terminal/hints.hpp"
#include "exciton/core/file.hpp"
#include "exciton/train/export.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

struct ExportArguments {
  std::string run, out;
  train::ExportOptions options;
  bool json = false, verify = false;
};

/// Reads values from a file, runs the graph on them, and writes what comes out.
constexpr const char* by_python =
    "import sys, numpy as n, onnxruntime as r\n"
    "f, i, s, o = sys.argv[1:]\n"
    "x = n.fromfile(i, 'float32').reshape([int(k) for k in s.split(',')])\n"
    "q = r.InferenceSession(f, providers=['CPUExecutionProvider'])\n"
    "q.run(None, {q.get_inputs()[0].name: x})[0].astype('float32').tofile(o)\n";
constexpr const char* by_node =
    "const [f, i, s, o] = process.argv.slice(1), fs = require('fs');"
    "const r = require(require.resolve('onnxruntime-node', {paths: [process.cwd()]}));"
    "const b = fs.readFileSync(i), x = new Float32Array(b.buffer, b.byteOffset, b.length / 4);"
    "r.InferenceSession.create(f).then(async (q) => {"
    "const t = new r.Tensor('float32', x, s.split(',').map(Number));"
    "const y = (await q.run({[q.inputNames[0]]: t}))[q.outputNames[0]].data;"
    "fs.writeFileSync(o, Buffer.from(y.buffer, y.byteOffset, y.byteLength)); });";

/// What ONNX Runtime makes of the file, where one is installed. Errors: none is; it computes
/// something else.
train::Comparison by_onnx_runtime(const std::string& file, const train::Exported& done) {
  const ScratchFolder folder;
  const std::string input = (folder.path() / "input").string(),
                    output = (folder.path() / "output").string();
  const std::vector<float>& values = done.input.values;
  write_text(
      input,
      std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)),
      "export");
  std::string shape;
  for (const std::int64_t extent : done.input.shape)
    shape += (shape.empty() ? "" : ",") + std::to_string(extent);
  const bool ran = succeeds({"python3", "-c", by_python, file, input, shape, output}) ||
                   succeeds({"node", "-e", by_node, file, input, shape, output});
  check(ran && std::filesystem::exists(output), "export: --verify: ", file,
        " is written, but no ONNX Runtime ran it; install one: pip install onnxruntime, or in this "
        "folder npm install onnxruntime-node");
  const std::string bytes = read_text(output, "export", std::uint64_t{1} << 30);
  Tensor logits(done.logits.shape());
  check(bytes.size() == logits.bytes(), "export: --verify: ONNX Runtime returned ", bytes.size(),
        " bytes, expected ", logits.bytes());
  std::memcpy(logits.raw(), bytes.data(), bytes.size());
  train::Comparison out = train::compare_logits(done.logits, logits);
  out.noise = done.proof.noise;
  check(out.agrees(), "export: --verify: ONNX Runtime computes something else from ", file, ": ",
        out.text());
  return out;
}

train::Json to_json(const train::Comparison& c) {
  return {{"images", c.images},
          {"noise", c.noise},
          {"largest_difference", c.difference},
          {"largest_logit", c.largest}};
}

int run(const ExportArguments& args) {
  check(!args.verify || args.out.ends_with(".onnx"),
        "export: --verify is for ONNX; safetensors are read back always");
  const train::Exported done = train::export_run(args.run, args.out, args.options, warn);
  std::optional<train::Comparison> verified;
  if (args.verify) verified = by_onnx_runtime(args.out, done);
  if (args.json) {
    train::Json out = {{"file", args.out},        {"names", done.names},
                       {"tensors", done.tensors}, {"bytes", done.bytes},
                       {"notes", done.notes},     {"compared", to_json(done.proof)}};
    if (verified) out["onnx_runtime"] = to_json(*verified);
    std::cout << train::to_text(out) << std::endl;
    return 0;
  }
  std::printf("%s: %lld tensors, %.2f MB, names of %s\n", args.out.c_str(),
              static_cast<long long>(done.tensors), static_cast<double>(done.bytes) / 1e6,
              done.names.c_str());
  std::printf("  read back, %s\n", done.proof.text().c_str());
  if (verified) std::printf("  ONNX Runtime, %s\n", verified->text().c_str());
  for (const std::string& note : done.notes) std::printf("  %s\n", note.c_str());
  return 0;
}

}  // namespace

void add_export(Command& program) {
  auto args = std::make_shared<ExportArguments>();
  Command& command = program.add_command(
      "export", "A trained network as safetensors or ONNX, compared with the run's");
  command.add_option("RUN", args->run, "a run folder (its newest checkpoint) or a checkpoint file")
      .required();
  command.add_option("--out", args->out, "the file to make; .safetensors or .onnx")
      .type_name("FILE")
      .required();
  command
      .add_option("--to", args->options.to,
                  "names of a library: timm/seresnet50 (default: our own)")
      .type_name("SOURCE");
  command.add_option("--dtype", args->options.dtype, "of the weights in safetensors")
      .check(one_of({"f32", "bf16"}))
      .show_default();
  command.add_flag("--fold", args->options.fold,
                   "ONNX: batch norms within the convolutions before them");
  command
      .add_option("--input", args->options.input,
                  "ONNX: what it reads: normalized, or pixels of 0 to 255")
      .check(one_of({"normalized", "pixels"}))
      .show_default();
  add_data_option(command, args->options.data, "the run's");
  command.add_flag("--verify", args->verify, "ONNX: also by ONNX Runtime, where one is installed");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton export runs/first --out first.safetensors\n"
      "  exciton export runs/se50 --out se50.safetensors --to timm/legacy_seresnet50\n"
      "  exciton export runs/first --out first.onnx");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
