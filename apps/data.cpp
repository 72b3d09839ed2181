/// exciton data fetch, exciton data info
#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/command.hpp"
#include "apps/progress.hpp"
#include "data/dataset.hpp"
#include "data/fetch.hpp"

namespace exciton::apps {
namespace {

struct FetchArguments {
  std::string name, dir, url;
};
struct InfoArguments {
  std::string dir, kind = "auto";
};

int fetch(const FetchArguments& args) {
  data::FetchOptions options;
  options.url = args.url;
  std::unique_ptr<Progress> progress;
  std::string current;
  options.progress = [&](const data::FetchProgress& now) {
    if (now.file != current) {
      progress = std::make_unique<Progress>(now.total, now.bytes);
      current = now.file;
    }
    progress->update(now.bytes, now.file,
                     bytes_for_people(static_cast<double>(now.bytes)) + " of " +
                         bytes_for_people(static_cast<double>(now.total)));
  };
  const data::FetchResult result = data::fetch_dataset(args.name, args.dir, options);
  progress.reset();
  for (const auto& file : result.files) std::cout << file.string() << ": complete, checksum fits\n";
  std::cout << "Downloaded " << bytes_for_people(static_cast<double>(result.bytes_downloaded))
            << ", unpacked " << result.files_unpacked << " files. Look at it with\n"
            << "  exciton data info " << args.dir << std::endl;
  return 0;
}

int info(const InfoArguments& args) {
  for (const std::string split : {"train", "test"}) {
    const auto set = data::open_dataset(args.kind, args.dir, split);
    const data::ChannelStats stats = data::channel_stats(*set);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(set->classes()), 0);
    for (std::int64_t i = 0; i < set->size(); ++i)
      ++counts[static_cast<std::size_t>(set->label(i))];
    std::printf("%s\n  images %lld, classes %lld, channels %lld, size ", set->description().c_str(),
                static_cast<long long>(set->size()), static_cast<long long>(set->classes()),
                static_cast<long long>(set->channels()));
    if (set->image_size() > 0)
      std::printf("%lld x %lld\n", static_cast<long long>(set->image_size()),
                  static_cast<long long>(set->image_size()));
    else
      std::printf("various\n");
    for (const char* what : {"mean", "std"}) {
      std::printf("  %-4s", what);
      const auto& values = what[0] == 'm' ? stats.mean : stats.std;
      for (std::int64_t c = 0; c < set->channels(); ++c)
        std::printf(" %.4f", static_cast<double>(values[static_cast<std::size_t>(c)]));
      std::printf("\n");
    }
    for (std::size_t c = 0; c < counts.size(); ++c)
      std::printf("  %6lld  %s\n", static_cast<long long>(counts[c]),
                  set->class_names()[c].c_str());
  }
  return 0;
}

}  // namespace

void add_data(CLI::App& program, Action& action) {
  CLI::App* command = program.add_subcommand("data", "Download and look at data sets");
  command->require_subcommand(1);
  command->footer(
      "Example:\n  exciton data fetch cifar10 --dir data-cache/cifar10\n"
      "  exciton data info data-cache/cifar10");

  auto fetch_args = std::make_shared<FetchArguments>();
  CLI::App* fetching = command->add_subcommand(
      "fetch", "Download a data set from its own site: resumes, checks size and checksum, unpacks");
  std::vector<std::string> names;
  for (const data::RemoteDataset& set : data::official_catalogue()) names.push_back(set.name);
  fetching->add_option("NAME", fetch_args->name, "cifar10, cifar100 or fashion-mnist")
      ->required()
      ->check(CLI::IsMember(names));
  fetching->add_option("--dir", fetch_args->dir, "folder it is put into")
      ->required()
      ->type_name("DIR");
  fetching->add_option("--url", fetch_args->url, "a mirror: its folder, or the file itself");
  fetching->footer("Example:\n  exciton data fetch cifar10 --dir data-cache/cifar10");
  fetching->callback(
      [fetch_args, &action] { action = [fetch_args] { return fetch(*fetch_args); }; });

  auto info_args = std::make_shared<InfoArguments>();
  CLI::App* telling = command->add_subcommand("info", "Sizes, classes, mean and deviation");
  telling->add_option("DIR", info_args->dir, "folder of the data set")->required();
  telling->add_option("--kind", info_args->kind, "which format it is")
      ->check(CLI::IsMember(data::dataset_kinds()))
      ->capture_default_str();
  telling->footer("Example:\n  exciton data info /usr/share/datasets/fashion-mnist");
  telling->callback([info_args, &action] { action = [info_args] { return info(*info_args); }; });
}

}  // namespace exciton::apps
