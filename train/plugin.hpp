/// Units, models, operators, data sets, optimisers and schedules of one's own, by name in recipes,
/// checkpoints and commands: registered by a program that uses the library, or by a plugin that
/// `exciton --plugin FILE` loads.
///
///   #include <exciton/exciton.hpp>
///   EXCITON_PLUGIN(registries) { registries.attention.add("simam", make_simam); }
///
/// built as a shared library by the same compiler against the headers of the program that loads it,
/// and linked with no component of it: what it needs the program has.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/data/kinds.hpp"
#include "exciton/nn/attention.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/ops/registry.hpp"
#include "exciton/optim/registry.hpp"
#include "exciton/plugin_abi.hpp"

namespace exciton::train {

/// All that is open. Each belongs to the process; add to them before other threads use the library.
struct Registries {
  nn::AttentionRegistry& attention;
  nn::Registry& models;
  data::KindRegistry& data;
  NamedRegistry<optim::MakeOptimizer>& optimizers;
  NamedRegistry<optim::ScheduleShape>& schedules;
  NamedRegistry<ops::RegisteredOperator>& operators;
};
Registries registries();

/// Loads a plugin for as long as the process lives. What a recipe or a checkpoint names is never
/// loaded: only who runs a program says what code it runs. Errors, each in one line: no shared
/// library, one without EXCITON_PLUGIN, one that was built by another compiler or against other
/// headers, a name that is taken.
void load_plugin(const std::filesystem::path& file);

/// What this process has loaded so, in that order, as it was named: part of the process's state as
/// the registries are.
const std::vector<std::string>& loaded_plugins();

}  // namespace exciton::train

/// Defines what the program asks a plugin for: how it was built, and to register itself.
#define EXCITON_PLUGIN(registries)                                           \
  extern "C" const char* exciton_plugin_abi() { return EXCITON_PLUGIN_ABI; } \
  extern "C" void exciton_plugin_register([[maybe_unused]] exciton::train::Registries& registries)
