/// exciton export
#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/terminal/hints.hpp"
#include "exciton/train/export.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

struct ExportArguments {
  std::string run, out;
  train::ExportOptions options;
  bool json = false;
};

int run(const ExportArguments& args) {
  const train::Exported done = train::export_run(args.run, args.out, args.options, warn);
  if (args.json) {
    std::cout << train::to_text({{"file", args.out},
                                 {"names", done.names},
                                 {"tensors", done.tensors},
                                 {"bytes", done.bytes},
                                 {"notes", done.notes},
                                 {"compared",
                                  {{"images", done.proof.images},
                                   {"noise", done.proof.noise},
                                   {"largest_difference", done.proof.difference},
                                   {"largest_logit", done.proof.largest}}}})
              << std::endl;
    return 0;
  }
  std::printf("%s: %lld tensors, %.2f MB, names of %s\n", args.out.c_str(),
              static_cast<long long>(done.tensors), static_cast<double>(done.bytes) / 1e6,
              done.names.c_str());
  std::printf("  read back, %s\n", done.proof.text().c_str());
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
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton export runs/first --out first.safetensors\n"
      "  exciton export runs/se50 --out se50.safetensors --to timm/legacy_seresnet50\n"
      "  exciton export runs/first --out first.onnx");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
