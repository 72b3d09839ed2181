// The differential sweep, a few hundred forms long; convolution_sweep runs it for as long as asked.
// Then the sweep itself: each kind of fault that it is there to find is planted and found.
#include <cstring>

#include "exciton/core/threads.hpp"
#include "support.hpp"
#include "sweep/check.hpp"

namespace exciton::sweep {
namespace {

class Sweep : public testing::Test {
 protected:
  ~Sweep() override { set_num_threads(before_); }

 private:
  int before_ = num_threads();
};

TEST_F(Sweep, FindsNothing) {
  for (std::uint64_t i = 0; i < 400; ++i) {
    const Form form = make_form(20, i);
    ASSERT_EQ(check_form(form), "") << "convolution_sweep --form '" << form << "'";
  }
}

TEST_F(Sweep, FormsAreReadAsWritten) {
  for (std::uint64_t i = 0; i < 300; ++i) {
    const Form form = make_form(4, i);
    std::ostringstream text;
    text << form;
    ASSERT_EQ(parse_form(text.str()), form) << text.str();
  }
  EXPECT_THROW(parse_form("n=1 h=x"), Error);
  EXPECT_THROW(parse_form("depth=1"), Error);
  EXPECT_THROW(parse_form("h=2 kh=3"), Error);
}

const char* const plain_form =
    "n=2 h=9 w=7 c=6 o=5 kh=3 kw=2 stride=2 padding=1 type=f32 threads=2 epilogue=bias,relu";

/// Right but for what a test plants.
class Faulty : public Subject {
 public:
  Tensor forward(const Tensor& x, const Tensor& w, const ops::ConvSpec& spec,
                 const ops::ConvKernels::Epilogue& e) override {
    Tensor y = Subject::forward(x, w, spec, e);
    if (one_off) y.set(y.numel() - 1, y.at(y.numel() - 1) + 1);
    if (not_written) std::memset(y.raw(), 0xff, y.bytes());
    if (beyond) *(y.data<float>() + y.numel() + line) = 0;
    if (slack) *(y.data<float>() + y.numel()) = 0;
    if (input) *const_cast<float*>(x.data<float>()) = 0;
    return y;
  }
  Tensor backward_weights(const Tensor& x, const Tensor& dy, const Shape& w,
                          const ops::ConvSpec& spec) override {
    Tensor dw = Subject::backward_weights(x, dy, w, spec);
    if (lost_channel) dw.set(0, 0);
    return dw;
  }
  bool one_off = false, not_written = false, beyond = false, slack = false, input = false,
       lost_channel = false;

 private:
  static constexpr int line = 16;  // floats: beyond the alignment of a buffer
};

using Fault = bool Faulty::*;

MakeSubject with(Fault fault) {
  return [=] {
    auto subject = std::make_unique<Faulty>();
    (*subject).*fault = true;
    return subject;
  };
}

TEST_F(Sweep, FindsWrongValues) {
  const Form form = parse_form(plain_form);
  EXPECT_EQ(check_form(form), "");
  const auto found = [&](Fault fault) { return check_form(form, with(fault)); };
  EXPECT_NE(found(&Faulty::one_off).find("1 of 200"), std::string::npos);
  EXPECT_NE(found(&Faulty::not_written).find("200 of 200"), std::string::npos);
  EXPECT_NE(found(&Faulty::lost_channel).find("dw"), std::string::npos);
  EXPECT_NE(found(&Faulty::slack).find("byte 800 was written, of a buffer of 800"),
            std::string::npos);
}

using SweepDeathTest = Sweep;

TEST_F(SweepDeathTest, FindsAccessBeyondABuffer) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Form form = parse_form(plain_form);
  EXPECT_DEATH(check_form(form, with(&Faulty::beyond)), "");
  EXPECT_DEATH(check_form(form, with(&Faulty::input)), "");
}

TEST(GuardedMemory, LaysBuffersAgainstEitherPage) {
  for (const auto side : {GuardedMemory::Against::end, GuardedMemory::Against::begin}) {
    GuardedMemory memory(side);
    {
      const ScopedMemorySource guarded(memory);
      const Tensor t({100});
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.raw()) % 64, 0u);
      EXPECT_TRUE(std::isnan(t.at(0)) && std::isnan(t.at(99)));
    }
    EXPECT_EQ(memory.damage(), "");
  }
}

}  // namespace
}  // namespace exciton::sweep
