#include "exciton/train/plugin.hpp"

#include <dlfcn.h>

#include <string>

#include "exciton/core/error.hpp"

namespace exciton::train {

Registries registries() {
  return {nn::attention_registry(),    nn::model_registry(),       data::kind_registry(),
          optim::optimizer_registry(), optim::schedule_registry(), ops::operator_registry()};
}

namespace {

/// A plugin finds its symbols among those of the whole process. Where the library itself was loaded
/// for somebody alone, as interpreters load their modules, it is shown to all.
void show_own_symbols() {
  Dl_info own{};
  if (::dladdr(reinterpret_cast<const void*>(&load_plugin), &own) != 0)
    ::dlopen(own.dli_fname,
             RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);  // not of a program: shown already
}

std::vector<std::string>& loaded() {
  static std::vector<std::string> files;
  return files;
}

}  // namespace

const std::vector<std::string>& loaded_plugins() { return loaded(); }

void load_plugin(const std::filesystem::path& file) {
  const std::string who = "plugin: " + file.string();
  std::error_code none;
  check(std::filesystem::is_regular_file(file, none), who, ": there is no such file");
  show_own_symbols();
  // With a path the loader does not search elsewhere. Never closed: its units may be in use.
  void* const library = ::dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(who, ": ", ::dlerror());
  const auto abi = reinterpret_cast<const char* (*)()>(::dlsym(library, "exciton_plugin_abi"));
  const auto add =
      reinterpret_cast<void (*)(Registries&)>(::dlsym(library, "exciton_plugin_register"));
  check(abi != nullptr && add != nullptr, who,
        ": is no plugin: it does not define EXCITON_PLUGIN (exciton/train/plugin.hpp)");
  check(std::string(abi()) == EXCITON_PLUGIN_ABI, who, ": was built for ", abi(), ", this is ",
        EXCITON_PLUGIN_ABI, "; build it again");
  Registries all = registries();
  try {
    add(all);
  } catch (const std::exception& error) {
    fail(who, ": ", error.what());
  }
  loaded().push_back(file.string());
}

}  // namespace exciton::train
