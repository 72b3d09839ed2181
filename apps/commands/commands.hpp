/// Every command is one file with one function that adds it to the program: it names the options,
/// calls the library and prints.
#pragma once
#include <string>
#include <vector>

#include "apps/terminal/options.hpp"

namespace exciton::apps {

void add_train(Command& program);
void add_finetune(Command& program);
void add_eval(Command& program);
void add_predict(Command& program);
void add_weights(Command& program);
void add_import(Command& program);
void add_export(Command& program);
void add_inspect(Command& program);
void add_watch(Command& program);
void add_report(Command& program);
void add_study(Command& program);
void add_prune(Command& program);
void add_trace(Command& program);
void add_summary(Command& program);
void add_tune(Command& program);
void add_bench(Command& program);
/// `exciton bench data`
void add_bench_data(Command& bench);
/// `exciton bench messages`
void add_bench_messages(Command& bench);
void add_profile(Command& program);
void add_data(Command& program);
void add_recipes(Command& program);
void add_doctor(Command& program);
void add_completion(Command& program);
void add_man(Command& program);

/// `--set key=value`, any number of times.
inline void add_set_option(Command& command, std::vector<std::string>& to,
                           const std::string& example) {
  command.add_option("--set", to, "set one value of the recipe, e.g. --set " + example)
      .type_name("KEY=VALUE")
      .one_at_a_time();
}

/// `--data DIR`, empty where it is left out; `whose` is the default, as people read it.
inline void add_data_option(Command& command, std::string& to, const std::string& whose) {
  command.add_option("--data", to, "folder of the data set (default: " + whose + ")")
      .type_name("DIR");
}
/// `--port N`, 0 where it is left out.
inline void add_port_option(Command& command, int& to) {
  command.add_option("--port", to, "of the page on 127.0.0.1 (default: any that is free)")
      .check(number_in(1, 65535));
}
/// `--threads N`, 0 where it is left out.
inline void add_threads_option(Command& command, int& to) {
  command.add_option("--threads", to, "processor threads (default: all)").check(number_in(1, 4096));
}

}  // namespace exciton::apps
