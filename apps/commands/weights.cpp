/// exciton weights
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/commands/commands.hpp"
#include "exciton/interop/weight_file.hpp"
#include "exciton/train/import.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {
namespace {

struct WeightsArguments {
  std::string file, key, model;
  std::vector<std::string> set;
  bool json = false, all = false;
};

std::string options_of(const train::SourceFit& fit) {
  return fit.options.empty() ? "" : " (" + fit.options + ')';
}

train::Json to_json(const interop::WeightFile& file, const interop::CleanNames& names,
                    const std::vector<train::SourceFit>& fits) {
  train::Json tensors = train::Json::array(), sources = train::Json::array();
  for (const interop::StoredTensor& t : file.tensors)
    tensors.push_back({{"name", t.name}, {"dtype", interop::name_of(t.type)}, {"shape", t.shape}});
  for (const train::SourceFit& f : fits)
    if (f.fit.complete())
      sources.push_back({{"source", f.source}, {"model", f.model}, {"options", f.options}});
  train::Json metadata = train::Json::object();
  for (const auto& [key, value] : file.metadata) metadata[key] = value;
  return {{"file", file.path.string()}, {"container", file.container}, {"key", file.key},
          {"prefix", names.prefix},     {"metadata", metadata},        {"skipped", file.skipped},
          {"tensors", tensors},         {"sources", sources}};
}

int run(const WeightsArguments& args) {
  const auto file = interop::open_weights(args.file, {.key = args.key});
  const interop::CleanNames names = interop::clean_names(*file);
  const std::vector<train::SourceFit> fits = train::fits_of(*file, args.model, args.set);
  if (args.json) {
    std::cout << train::to_text(to_json(*file, names, fits)) << std::endl;
    return 0;
  }
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < names.names.size(); ++i)
    if (!names.names[i].empty())
      elements += interop::elements_of(file->tensors[i].shape, file->tensors[i].name);
  std::printf("%s: %s, %zu tensors, %.3f M values\n", file->path.c_str(), file->container.c_str(),
              file->tensors.size(), static_cast<double>(elements) / 1e6);
  if (!file->key.empty()) std::printf("of the dictionary %s\n", file->key.c_str());
  if (!names.prefix.empty()) std::printf("all names begin with %s\n", names.prefix.c_str());
  if (!file->skipped.empty())
    std::printf("%zu entries that are no tensors, the first %s\n", file->skipped.size(),
                shortened(file->skipped.front(), 60).c_str());
  for (const auto& [key, value] : file->metadata)
    std::printf("%s: %s\n", key.c_str(), shortened(value, 200).c_str());
  std::printf("\n");
  constexpr std::size_t shown = 12;
  std::size_t width = 4;
  for (const interop::StoredTensor& t : file->tensors)
    width = std::max(width, std::min<std::size_t>(t.name.size(), 60));
  for (std::size_t i = 0; i < file->tensors.size(); ++i) {
    if (!args.all && i == shown && file->tensors.size() > shown + 1) {
      std::printf("... %zu more (--all)\n", file->tensors.size() - shown);
      break;
    }
    const interop::StoredTensor& t = file->tensors[i];
    std::printf("%-*s  %-4s  %s\n", static_cast<int>(width), shortened(t.name, 60).c_str(),
                std::string(interop::name_of(t.type)).c_str(),
                interop::shape_text(t.shape).c_str());
  }
  std::printf("\n");
  const bool any = !fits.empty() && fits.front().fit.complete();
  if (any) std::printf("fits\n");
  for (const train::SourceFit& f : fits)
    if (f.fit.complete())
      std::printf("  %s as %s%s\n", f.source.c_str(), f.model.c_str(), options_of(f).c_str());
  if (!any && !fits.empty())
    std::printf("fits no source; the nearest is %s as %s%s:\n  %s\n", fits.front().source.c_str(),
                fits.front().model.c_str(), options_of(fits.front()).c_str(),
                fits.front().fit.text().c_str());
  return 0;
}

}  // namespace

void add_weights(Command& program) {
  auto args = std::make_shared<WeightsArguments>();
  Command& command =
      program.add_command("weights", "What is in a file of weights, and which networks it fits");
  command.add_option("FILE", args->file, "safetensors, PyTorch's .pth, .pt or .bin, .npz")
      .required();
  command.add_option("--key", args->key,
                     "which dictionary of a PyTorch file: state_dict, ema.model");
  command.add_option("--model", args->model, "only sources of this network");
  add_set_option(command, args->set, "model.blocks=[2,2,2,2]");
  command.add_flag("--all", args->all, "list every tensor");
  command.add_flag("--json", args->json, "print one JSON object");
  command.footer(
      "Example:\n  exciton weights resnet20.th\n  exciton weights model.safetensors --all");
  command.action([args] { return run(*args); });
}

}  // namespace exciton::apps
