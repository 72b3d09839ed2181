/// What the tests of training and of the program share: temporary folders and tiny data in the
/// official layouts.
#pragma once
#include <gtest/gtest.h>
#include <algorithm>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/json.hpp"
#include "exciton/train/run.hpp"
#include "tests/temp_dir.hpp"

namespace exciton::train::testing {

using test_support::TempDir;

void write_file(const std::filesystem::path& path, const std::string& bytes);
std::string read_file(const std::filesystem::path& path);
std::vector<Json> read_log(const std::filesystem::path& run);

/// A Fashion-MNIST folder (IDX) of grey images of side 8, whose brightness grows with the label.
void write_tiny_data(const std::filesystem::path& dir, std::int64_t train = 64,
                     std::int64_t test = 32);
/// A recipe that trains resnet20 on them in a moment: batch 16, 2 epochs, 1 thread, se_resnet20 on
/// request.
void write_tiny_recipe(const std::filesystem::path& path, const std::filesystem::path& data,
                       const std::string& model = "se_resnet20");

/// Remembers what is said and every epoch; stops after so many steps.
struct Listener final : Observer {
  std::vector<std::string> notes;
  std::vector<EpochLine> epochs;
  std::int64_t steps_left = 1'000'000;
  void started(const RunInfo& info) override {
    notes.insert(notes.end(), info.notes.begin(), info.notes.end());
  }
  bool step(const Progress& p) override {
    return p.phase != Progress::Phase::training || --steps_left > 0;
  }
  void epoch(const EpochLine& line) override { epochs.push_back(line); }
  bool said(const std::string& what) const {
    return std::ranges::any_of(
        notes, [&](const std::string& n) { return n.find(what) != std::string::npos; });
  }
};

/// The message of the exciton::Error that f throws; fails the test when it throws none, or when the
/// message has several lines.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

/// Expects that both checkpoints hold the same tensors, bit for bit.
void expect_same_tensors(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace exciton::train::testing
