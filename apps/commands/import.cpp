/// exciton import
#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "apps/terminal/hints.hpp"
#include "exciton/core/file.hpp"
#include "exciton/train/export.hpp"
#include "exciton/train/import.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

struct ImportArguments {
  std::string file, out, classes, verify, data;
  train::ImportOptions options;
  std::string rules, mean, std;
  bool json = false;
};

/// "0.485,0.456,0.406"
std::vector<double> numbers(const std::string& text, const char* option) {
  std::vector<double> out;
  for (std::size_t at = 0; at <= text.size() && !text.empty();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string one = text.substr(at, end - at);
    char* stop = nullptr;
    out.push_back(std::strtod(one.c_str(), &stop));
    check(!one.empty() && *stop == '\0', "import: ", option,
          ": expected numbers with commas between, got \"", text, '"');
    at = end + 1;
  }
  return out;
}

/// One name a line; empty lines at the end do not count.
std::vector<std::string> class_names(const std::string& path) {
  constexpr std::uint64_t most = 16 << 20;
  const std::string text = read_text(path, "import", most);
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    out.push_back(std::move(line));
    at = end + 1;
  }
  while (!out.empty() && out.back().empty()) out.pop_back();
  check(!out.empty(), "import: ", path, ": has no names of classes");
  return out;
}

int run(ImportArguments args) {
  args.options.rules = args.rules;
  args.options.normalization = {numbers(args.mean, "--mean"), numbers(args.std, "--std")};
  check(args.mean.empty() == args.std.empty(), "import: --mean and --std go together");
  if (!args.classes.empty()) args.options.class_names = class_names(args.classes);
  const train::Imported imported = train::import_weights(args.file, args.options);
  std::optional<train::Comparison> verified;
  if (!args.verify.empty()) verified = train::compare_with_golden(imported, args.verify, args.data);
  train::write_run(args.out, imported);
  if (args.json) {
    train::Json out{{"run", args.out},
                    {"source", imported.source},
                    {"model", imported.recipe.model.name},
                    {"options", interop::options_text(imported.recipe.model.options)},
                    {"tensors", imported.tensors},
                    {"classes", imported.preprocessing.class_names.size()},
                    {"notes", imported.notes}};
    if (verified)
      out["verified"] = {{"images", verified->images},
                         {"largest_difference", verified->difference},
                         {"largest_logit", verified->largest}};
    std::cout << train::to_text(out) << std::endl;
    return 0;
  }
  const std::string options = interop::options_text(imported.recipe.model.options);
  std::printf("%s: %lld tensors of %s as %s%s\n", args.out.c_str(),
              static_cast<long long>(imported.tensors), imported.source.c_str(),
              imported.recipe.model.name.c_str(), options.empty() ? "" : (", " + options).c_str());
  for (const std::string& note : imported.notes) std::printf("  %s\n", note.c_str());
  const auto& pre = imported.preprocessing;
  std::printf("  images of %lld x %lld, normalised by mean", static_cast<long long>(pre.image_size),
              static_cast<long long>(pre.image_size));
  for (std::int64_t c = 0; c < pre.channels; ++c)
    std::printf(" %.4f", static_cast<double>(pre.mean[static_cast<std::size_t>(c)]));
  std::printf(", deviation");
  for (std::int64_t c = 0; c < pre.channels; ++c)
    std::printf(" %.4f", static_cast<double>(pre.std[static_cast<std::size_t>(c)]));
  std::printf("\n");
  if (verified) std::printf("  %s\n", verified->text().c_str());
  return 0;
}

}  // namespace

void add_import(Command& program) {
  auto args = std::make_shared<ImportArguments>();
  Command& command = program.add_command("import", "Weights of another program as a run folder");
  command.add_option("FILE", args->file, "safetensors, PyTorch's .pth, .pt or .bin, .npz")
      .required();
  command.add_option("--out", args->out, "the run folder to make").type_name("DIR").required();
  command.add_option("--model", args->options.model,
                     "the network here, as exciton summary names it (default: the source's)");
  command
      .add_option("--from", args->options.from,
                  "where it is from: timm/seresnet50 (default: the only source that fits)")
      .type_name("SOURCE");
  command.add_option("--key", args->options.key,
                     "which dictionary of a PyTorch file: state_dict, ema.model");
  command.add_option("--rules", args->rules, "names by your own rules, see docs/weights.md")
      .type_name("FILE");
  command.add_option("--classes", args->classes, "names of the classes, one a line")
      .type_name("FILE");
  command.add_option("--mean", args->mean,
                     "of red, green and blue in [0, 1]: 0.485,0.456,0.406 (default: the source's)");
  command.add_option("--std", args->std, "their deviations (default: the source's)");
  command
      .add_option("--image-size", args->options.image_size,
                  "side of the images (default: the network's own)")
      .check(number_in(1, 8192));
  add_set_option(command, args->options.set, "model.blocks=[2,2,2,2]");
  command
      .add_option("--verify", args->verify,
                  "logits that another program had: of the first images of --data")
      .type_name("GOLDEN.npy");
  add_data_option(command, args->data, "none");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton import resnet20.th --model resnet20 --out runs/r20\n"
      "  exciton import seresnet50.safetensors --from timm/seresnet50 --out runs/se50\n"
      "  exciton eval runs/r20 --data data-cache/cifar10");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
