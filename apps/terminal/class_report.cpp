#include "apps/terminal/class_report.hpp"

#include <algorithm>
#include <cstdio>

#include "exciton/train/predict.hpp"

namespace exciton::apps {
namespace {

/// Columns a text takes, as far as UTF-8 tells.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(width, width_of(text)), ' ');
}

std::size_t widest(const std::vector<std::string>& names) {
  std::size_t width = 5;
  for (const std::string& name : names) width = std::max(width, width_of(name));
  return width;
}

}  // namespace

void print_skipped(std::int64_t skipped, const std::vector<std::string>& reasons) {
  if (skipped == 0) return;
  std::printf("without %lld images that could not be read (data.on_error is skip)%s\n",
              static_cast<long long>(skipped),
              std::ssize(reasons) < skipped ? "; the first of them" : "");
  for (const std::string& reason : reasons) std::printf("  %s\n", reason.c_str());
}

void print_classes(const std::vector<std::string>& names, const train::Evaluation& result) {
  const std::size_t width = widest(names);
  std::printf("%s  images  top-1 %%  precision %%    F1 %%\n", padded("class", width).c_str());
  const auto line = [&](const std::string& name, std::int64_t images, double recall,
                        double precision, double f1) {
    std::printf("%s  %6lld  %7.2f      %7.2f  %6.2f\n", padded(name, width).c_str(),
                static_cast<long long>(images), 100 * recall, 100 * precision, 100 * f1);
  };
  for (std::size_t c = 0; c < names.size(); ++c) {
    const train::Evaluation::Class& own = result.classes()[c];
    if (own.images > 0)
      line(names[c], own.images, own.recall(), own.precision(), own.f1());
    else  // there is nothing to be right about
      std::printf("%s       0        -            -       -\n", padded(names[c], width).c_str());
  }
  line("mean", result.images(), result.macro_recall(), result.macro_precision(), result.macro_f1());
}

train::Json class_json(const std::string& name, const train::Evaluation::Class& own) {
  const auto known = [&](double value) {
    return own.images > 0 ? train::Json(value) : train::Json();
  };
  return {{"class", name},
          {"images", own.images},
          {"top1", known(own.recall())},
          {"precision", known(own.precision())},
          {"recall", known(own.recall())},
          {"f1", known(own.f1())}};
}

void print_confusion(const std::vector<std::string>& names, const train::Evaluation& result) {
  const auto classes = static_cast<std::int64_t>(names.size());
  std::printf("\n");
  if (classes > train::Evaluation::most_confused) {
    std::printf("No table of confusions is kept of more than %lld classes\n",
                static_cast<long long>(train::Evaluation::most_confused));
    return;
  }
  constexpr std::int64_t fits = 16;
  const std::size_t width = widest(names);
  if (classes <= fits) {
    std::printf("Rows: what images are. Columns: what they were taken for, in the same order.\n%s",
                padded("", width).c_str());
    for (std::int64_t as = 0; as < classes; ++as)
      std::printf("  %5.5s", names[static_cast<std::size_t>(as)].c_str());
    std::printf("\n");
    for (std::int64_t label = 0; label < classes; ++label) {
      std::printf("%s", padded(names[static_cast<std::size_t>(label)], width).c_str());
      for (std::int64_t as = 0; as < classes; ++as) {
        const std::int64_t n = result.confused(label, as);
        n > 0 ? std::printf("  %5lld", static_cast<long long>(n)) : std::printf("      .");
      }
      std::printf("\n");
    }
    std::printf("\n");
  }
  struct Pair {
    std::int64_t label, as, count;
  };
  std::vector<Pair> pairs;
  for (std::int64_t label = 0; label < classes; ++label)
    for (std::int64_t as = 0; as < classes; ++as)
      if (const std::int64_t n = result.confused(label, as); label != as && n > 0)
        pairs.push_back({label, as, n});
  std::ranges::stable_sort(pairs, std::greater<>(), &Pair::count);
  constexpr std::size_t shown = 10;
  std::printf(pairs.empty() ? "No class was taken for another\n"
                            : "Taken for another most often:\n");
  for (std::size_t i = 0; i < std::min(shown, pairs.size()); ++i) {
    const Pair& p = pairs[i];
    std::printf("  %6lld of %lld  %s as %s\n", static_cast<long long>(p.count),
                static_cast<long long>(result.classes()[static_cast<std::size_t>(p.label)].images),
                names[static_cast<std::size_t>(p.label)].c_str(),
                names[static_cast<std::size_t>(p.as)].c_str());
  }
}

train::Json confusion_json(const train::Evaluation& result) {
  const std::int64_t classes = std::ssize(result.classes());
  if (classes > train::Evaluation::most_confused) return {};
  train::Json rows = train::Json::array();
  for (std::int64_t label = 0; label < classes; ++label) {
    train::Json row = train::Json::array();
    for (std::int64_t as = 0; as < classes; ++as) row.push_back(result.confused(label, as));
    rows.push_back(std::move(row));
  }
  return rows;
}

PredictionTable::PredictionTable(const std::string& file, std::vector<std::string> class_names)
    : names_(std::move(class_names)), out_(file, "predictions") {
  for (const char* head : {"image", "label", "prediction", "probability"}) out_.cell(head);
  for (const std::string& name : names_) out_.cell("p(" + name + ")");
  out_.cell("error").end();
}

void PredictionTable::add(const std::string& image, std::int64_t label,
                          std::span<const float> logits) {
  const std::vector<double> p = train::softmax(logits);
  const auto as = static_cast<std::size_t>(train::top_class(logits));
  out_.cell(image).cell(label < 0 ? "" : names_[static_cast<std::size_t>(label)]);
  out_.cell(names_[as]).cell(static_cast<float>(p[as]));
  for (const double value : p) out_.cell(static_cast<float>(value));
  out_.cell("").end();
}

void PredictionTable::add_error(const std::string& image, const std::string& error) {
  out_.cell(image);
  for (std::size_t i = 0; i < names_.size() + 3; ++i) out_.cell("");
  out_.cell(error).end();
}

}  // namespace exciton::apps
