#include "apps/terminal/hints.hpp"

#include <iostream>

#include "apps/terminal/command_line.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/data/fetch.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/remedy.hpp"

namespace exciton::apps {
namespace {

std::string hint(const train::RunError& error) {
  using train::Remedy;
  const std::string another_run = "start another run with another --out";
  switch (error.remedy()) {
    case Remedy::another_folder:
      return "choose another --out";
    case Remedy::wait_or_another_folder:
      return "wait until it is done, or choose another --out";
    case Remedy::start_again:
      return "start again with another --out";
    case Remedy::resume:
      return "resume it with --resume, or choose another --out";
    case Remedy::give_data:
      return "give --data DIR";
    case Remedy::fetch_data: {
      const std::string &kind = error.details().at(0), &dir = error.details().at(1);
      return "give --data DIR, or download it: exciton data fetch " +
             (kind == "auto" ? "cifar10" : kind) + " --dir " + dir;
    }
    case Remedy::more_epochs:
      return "give a larger --epochs, or " + another_run;
    case Remedy::bring_back:
      return "bring it back, or " + another_run;
    case Remedy::put_back:
      return "put it back, or " + another_run;
    case Remedy::same_recipe:
      return "resume with the same recipe, or " + another_run;
    case Remedy::change_course:
      return "add --change if you mean it, resume with the same recipe, or " + another_run;
    case Remedy::less_memory:
      return "set one of these, give --fit to compute blocks again where that is enough, or raise "
             "the limit";
    case Remedy::larger_images:
      return "try a larger --resize or a smaller --crop";
    case Remedy::load_plugin:
      return "a name of your own comes with --plugin FILE";
    case Remedy::begin_with_weights:
      return "train on your images from it: " +
             command_line({"finetune", "DIR", "--from", error.details().at(0)});
    case Remedy::own_data:
      return "give the folder of its own with --data, or " + another_run;
  }
  return "";
}

}  // namespace

std::string explained(const std::exception& error) {
  const std::string what = error.what();
  if (const auto* of_run = dynamic_cast<const train::RunError*>(&error))
    return what + "; " + hint(*of_run);
  if (const auto* no_data = dynamic_cast<const data::NotFound*>(&error))
    return what + "; try: exciton data fetch " + no_data->fetchable() + " --dir " +
           no_data->dir().string();
  if (dynamic_cast<const data::FetchFailed*>(&error) != nullptr) return what + " with --url";
  return what.ends_with(train::resume_advice) ? what + " with --resume" : what;
}

void warn(const std::string& text) { std::cerr << "exciton: " << text << std::endl; }

}  // namespace exciton::apps
