/// A plugin of another version.
extern "C" const char* exciton_plugin_abi() { return "exciton 0.0.1 (some compiler)"; }
extern "C" void exciton_plugin_register(void*) {}
