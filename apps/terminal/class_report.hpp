/// What an evaluation says of classes and of single images: tables and CSV.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/terminal/csv_file.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {

/// How many images could not be read, and the first few reasons; nothing where all could.
void print_skipped(std::int64_t skipped, const std::vector<std::string>& reasons);
/// A line a class: images, recall (its top-1), precision, F1; and their means.
void print_classes(const std::vector<std::string>& names, const train::Evaluation& result);
train::Json class_json(const std::string& name, const train::Evaluation::Class& own);

/// Of few classes the whole table, rows the labels; and of any the pairs that are confused most.
void print_confusion(const std::vector<std::string>& names, const train::Evaluation& result);
/// Counts, a row a label; null where there are too many classes.
train::Json confusion_json(const train::Evaluation& result);

/// A CSV file of predictions.
class PredictionTable {
 public:
  /// Errors: the file cannot be made.
  PredictionTable(const std::string& file, std::vector<std::string> class_names);
  /// `label` below 0: it is not known.
  void add(const std::string& image, std::int64_t label, std::span<const float> logits);
  /// An image that could not be looked at.
  void add_error(const std::string& image, const std::string& error);
  /// Errors: a full disk and the like.
  void finish() { out_.close(); }

 private:
  std::vector<std::string> names_;
  CsvFile out_;
};

}  // namespace exciton::apps
