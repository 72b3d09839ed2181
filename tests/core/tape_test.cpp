#include <gtest/gtest.h>

#include <memory>

#include <string>
#include <thread>
#include <vector>

#include "exciton/core/description.hpp"
#include "operators.hpp"
#include "tests/error_of.hpp"

namespace exciton::testing_ops {
namespace {

using test_support::error_of;

Parameter parameter(const std::vector<double>& values) {
  return Parameter(Tensor::from({static_cast<std::int64_t>(values.size())}, values, DType::f64));
}

TEST(Tape, ChainRule) {
  Parameter x = parameter({2, -3});
  Tape tape;
  tape.backward(total({times(cube(x), 5)}));
  EXPECT_DOUBLE_EQ(x.grad.at(0), 5 * 3 * 4);
  EXPECT_DOUBLE_EQ(x.grad.at(1), 5 * 3 * 9);
  EXPECT_EQ(tape.size(), 0u) << "entries are released on the way back";
}

TEST(Tape, FanOutAddsUp) {
  Parameter x = parameter({2});
  Tape tape;
  const Var v = cube(x);
  tape.backward(total({v, times(v, 3), times(v, 4), Var(x)}));
  EXPECT_DOUBLE_EQ(x.grad.at(0), (1 + 3 + 4) * 3 * 4 + 1);
}

TEST(Tape, OneTensorReturnedTwiceIsNotAddedIntoItself) {
  // sum() returns dy for both operands; adding the second branch in place would spoil the first.
  Parameter x = parameter({1, 2}), z = parameter({5, 6});
  Tape tape;
  const Var v = cube(x), w = cube(z);
  tape.backward(total({sum(sum(v, w), v)}));  // 2 v + w
  EXPECT_DOUBLE_EQ(x.grad.at(1), 2 * 3 * 4);
  EXPECT_DOUBLE_EQ(z.grad.at(1), 3 * 36);
}

TEST(Tape, BothOperandsMayBeTheSame) {
  Parameter x = parameter({3});
  Tape tape;
  const Var v = cube(x);
  tape.backward(total({sum(v, v), Var(x), Var(x)}));
  EXPECT_DOUBLE_EQ(x.grad.at(0), 2 * 27 + 2);
}

TEST(Tape, ConsumersOfPendingSumsAddThemselves) {
  for (int uses : {1, 2, 3, 4}) {
    Parameter x = parameter({2});
    int pending = 0;
    Tape tape;
    const Var v = times(x, 10, &pending);
    tape.backward(total(std::vector<Var>(static_cast<std::size_t>(uses), v)));
    EXPECT_DOUBLE_EQ(x.grad.at(0), 10 * uses);
    EXPECT_EQ(pending, uses == 1 ? 0 : 1) << uses << " uses";
  }
}

TEST(Tape, PendingSumOfSharedTensors) {
  Parameter x = parameter({2});
  Tape tape;
  const Var v = times(x, 10);
  tape.backward(total({sum(sum(v, v), sum(v, v))}));
  EXPECT_DOUBLE_EQ(x.grad.at(0), 40);
}

TEST(Tape, GradientsOfStepsAddUntilCleared) {
  Parameter x = parameter({1});
  for (int step = 0; step < 3; ++step) {
    Tape tape;
    tape.backward(total({times(x, 2)}));
  }
  EXPECT_DOUBLE_EQ(x.grad.at(0), 6);
}

TEST(Tape, ParametersOwnTheirGradients) {
  // Both leaves get one tensor from sum(); clearing or scaling one must leave the other.
  Parameter x = parameter({1}), z = parameter({1});
  Tape tape;
  tape.backward(total({sum(x, z)}));
  EXPECT_FALSE(x.grad.same_storage(z.grad));
}

TEST(Tape, WithoutATapeNothingIsRecorded) {
  Parameter x = parameter({2});
  const Var y = cube(x);
  EXPECT_EQ(y.id(), -1);
  EXPECT_DOUBLE_EQ(y.value().at(0), 8);
  Tape tape;
  {
    const Tape::Pause pause;
    EXPECT_EQ(cube(x).id(), -1);
    EXPECT_EQ(Tape::active(), nullptr);
  }
  EXPECT_EQ(tape.size(), 0u);
  EXPECT_EQ(Tape::active(), &tape);
}

TEST(Tape, PausesEndInAnyOrder) {
  Tape tape;
  auto first = std::make_unique<Tape::Pause>();
  auto second = std::make_unique<Tape::Pause>();
  first.reset();
  EXPECT_EQ(Tape::active(), nullptr);
  second.reset();
  EXPECT_EQ(Tape::active(), &tape);
}

TEST(Tape, APauseMayOutliveIt) {
  auto tape = std::make_unique<Tape>();
  auto first = std::make_unique<Tape::Pause>();
  auto second = std::make_unique<Tape::Pause>();
  tape.reset();
  second.reset();
  first.reset();
  EXPECT_EQ(Tape::active(), nullptr);
  const Tape another;
  EXPECT_EQ(Tape::active(), &another);
}

TEST(Tape, ConstantsAreNotRecorded) {
  Tape tape;
  const Var y = cube(Tensor::full({3}, 2, DType::f64));
  EXPECT_EQ(y.id(), -1);
  EXPECT_EQ(tape.size(), 0u);
  Parameter frozen = parameter({2});
  frozen.trainable = false;
  EXPECT_EQ(cube(frozen).id(), -1);
}

TEST(Tape, BackwardSkipsWhatLeadsNowhere) {
  Parameter x = parameter({2}), unused = parameter({2});
  Tape tape;
  const Var side = cube(unused);
  tape.backward(total({cube(x)}));
  EXPECT_TRUE(unused.grad.empty());
  EXPECT_FALSE(x.grad.empty());
}

TEST(Tape, WatchedInputsGetGradients) {
  Tape tape;
  const Var x = tape.watch(Tensor::full({2}, 3, DType::f64));
  const Var aside = tape.watch(Tensor::full({2}, 3, DType::f64));
  tape.backward(total({cube(x)}));
  EXPECT_DOUBLE_EQ(tape.gradient(x).at(1), 27);
  EXPECT_TRUE(tape.gradient(aside).empty());
}

TEST(Tape, BackwardFromAnOutputWithItsGradient) {
  Parameter x = parameter({2, 3});
  Tape tape;
  tape.backward(cube(x), Tensor::from({2}, {10, 100}, DType::f64));
  EXPECT_DOUBLE_EQ(x.grad.at(0), 120);
  EXPECT_DOUBLE_EQ(x.grad.at(1), 2700);
}

TEST(Tape, GivenGradientStaysWithItsOwner) {
  Parameter x = parameter({2});
  const Tensor mine = Tensor::full({1}, 1, DType::f64);
  Tape tape;
  const Var v = times(x, 2);
  tape.backward(sum(v, v), mine);
  EXPECT_EQ(mine.at(0), 1);
  EXPECT_DOUBLE_EQ(x.grad.at(0), 4);
}

TEST(Tape, Errors) {
  Parameter x = parameter({2, 3});
  Tape tape;
  EXPECT_EQ(error_of([&] { tape.backward(cube(x)); }),
            "backward: the loss must be one number, got [2]");
  const Var outside(Tensor::full({1}, 1));
  EXPECT_NE(error_of([&] { tape.backward(outside); }).find("not recorded on this tape"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              tape.backward(cube(x), Tensor::zeros({3}, DType::f64));
            }).find("is [3] f64, the value is [2] f64"),
            std::string::npos);
  EXPECT_EQ(error_of([] { Tape second; }),
            "tape: another tape is already recording on this thread");
}

TEST(Tape, ThreadsHaveTheirOwn) {
  Tape tape;
  std::thread([] {
    EXPECT_EQ(Tape::active(), nullptr);
    Tape other;
    EXPECT_EQ(Tape::active(), &other);
  }).join();
  EXPECT_EQ(Tape::active(), &tape);
}

TEST(Tape, SavedTensorsDieOnTheWayBack) {
  Parameter x = parameter({1});
  const Tensor held = Tensor::full({1}, 2, DType::f64);
  {
    Tape tape;
    const Var loss = total({sum(cube(x), times(cube(tape.watch(held)), 1))});
    EXPECT_TRUE(held.shared());
    tape.backward(loss);
    EXPECT_FALSE(held.shared()) << "backward released what it passed";
  }
}

TEST(Tape, LongChainsDoNotOverflowTheStack) {
  Parameter x = parameter({1});
  Tape tape;
  Var v = x;
  const int length = 100000;
  for (int i = 0; i < length; ++i) v = times(v, i % 2 ? 2 : 0.5);
  EXPECT_EQ(tape.size(), static_cast<std::size_t>(length) + 1);
  tape.backward(v);
  EXPECT_DOUBLE_EQ(x.grad.at(0), 1);
  Tape* const active = Tape::active();
  EXPECT_EQ(active, &tape);
}

TEST(Tape, AbandonedTapesReleaseLongChains) {
  Parameter x = parameter({1});
  {
    Tape tape;
    Var v = x;
    for (int i = 0; i < 100000; ++i) v = times(v, 1);
  }
  EXPECT_TRUE(x.grad.empty());
  EXPECT_EQ(Tape::active(), nullptr);
}

TEST(Tape, DescribesForPeople) {
  Parameter x = parameter({1, 2});
  Description description;
  Tape tape(&description);
  const int module = 0;
  Var y;
  {
    const TapeObserver::Scope scope(&module);
    y = cube(x);
  }
  tape.backward(total({y, y}));
  ASSERT_EQ(description.entries().size(), 2u);
  const EntryInfo& first = description.entries()[0];
  EXPECT_EQ(first.op, "cube");
  EXPECT_EQ(first.scope, &module);
  EXPECT_EQ(first.inputs, std::vector<Shape>{Shape{2}});
  EXPECT_EQ(first.parameters, std::vector<const Parameter*>{&x});
  EXPECT_EQ(first.output, Shape{2});
  EXPECT_EQ(first.dtype, DType::f64);
  EXPECT_EQ(first.output_bytes, 16);
  EXPECT_GT(first.backward_seconds, 0);
  EXPECT_EQ(description.entries()[1].scope, nullptr);
  EXPECT_EQ(description.entries()[1].inputs.size(), 2u);
}

TEST(TapeObserver, IsToldOfEveryOperationAndWhenGradientsAreWhole) {
  struct Log final : TapeObserver {
    std::vector<std::string> lines;
    std::vector<const Parameter*> whole;
    std::vector<double> gradients;
    void began(const OperatorNode& op) override {
      lines.push_back("began " + std::string(op.name()));
    }
    void recorded(const OperatorNode& op, std::span<const Var> inputs, const Var& output) override {
      std::string line = "recorded " + std::string(op.name());
      for (const Var& x : inputs) line += ' ' + std::to_string(x.id());
      lines.push_back(line + " -> " + std::to_string(output.id()));
      if (const auto* times = dynamic_cast<const NodeOf<Times>*>(&op))
        lines.push_back("factor " + std::to_string(static_cast<int>(times->op.factor)));
    }
    void ended(const OperatorNode& op, int id) override {
      lines.push_back("ended " + std::string(op.name()) + ' ' + std::to_string(id));
    }
    void leaf_finished(Parameter& p) override {
      lines.push_back("whole");
      whole.push_back(&p);
      gradients.push_back(p.grad.empty() ? 0 : p.grad.at(0));
    }
  } log;
  Parameter x = parameter({2}), later = parameter({1}), unused = parameter({1});
  Tape tape(&log);
  const Var image = tape.watch(Tensor::full({1}, 3, DType::f64));  // 0
  const Var a = times(image, 5);                                   // 1
  const Var b = sum(a, x);                                         // x is 2, b is 3
  const Var d = sum(b, x);                                         // 4
  const Var leaf(later);                                           // 5
  const Var c = sum(d, leaf);                                      // 6
  const Var aside = cube(Var(unused));                             // 7, 8
  const Var constant = cube(Tensor::full({1}, 2, DType::f64));     // on no tape
  tape.backward(total({c}));                                       // 9
  EXPECT_EQ(log.lines, (std::vector<std::string>{"began times",
                                                 "recorded times 0 -> 1",
                                                 "factor 5",
                                                 "began sum",
                                                 "recorded sum 1 2 -> 3",
                                                 "began sum",
                                                 "recorded sum 3 2 -> 4",
                                                 "began sum",
                                                 "recorded sum 4 5 -> 6",
                                                 "began cube",
                                                 "recorded cube 7 -> 8",
                                                 "began cube",
                                                 "recorded cube -1 -> -1",
                                                 "began total",
                                                 "recorded total 6 -> 9",
                                                 "began total",
                                                 "ended total 9",
                                                 "whole",
                                                 "began sum",
                                                 "ended sum 6",
                                                 "whole",
                                                 "began sum",
                                                 "ended sum 4",
                                                 "began sum",
                                                 "ended sum 3",
                                                 "whole",
                                                 "began times",
                                                 "ended times 1"}));
  EXPECT_EQ(log.whole, (std::vector<const Parameter*>{&unused, &later, &x}));
  EXPECT_EQ(log.gradients, (std::vector<double>{0, 1, 2}));
}

}  // namespace
}  // namespace exciton::testing_ops
