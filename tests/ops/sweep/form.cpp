#include "sweep/form.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace exciton::sweep {
namespace {

template <class E>
using Names = std::vector<std::pair<E, std::string_view>>;

const Names<User> user_names{{User::kernels, "kernels"},
                             {User::conv2d, "conv2d"},
                             {User::folded, "folded"},
                             {User::norm_relu, "norm_relu"}};
const Names<Values> value_names{{Values::integers, "integers"}, {Values::normal, "normal"}};
const Names<GuardedMemory::Against> guard_names{{GuardedMemory::Against::end, "end"},
                                                {GuardedMemory::Against::begin, "begin"}};

template <class E>
std::string_view name_in(const Names<E>& names, E value) {
  for (const auto& [v, name] : names)
    if (v == value) return name;
  fail("form: a value without a name");
}
template <class E>
E value_in(const Names<E>& names, std::string_view key, std::string_view text) {
  for (const auto& [v, name] : names)
    if (name == text) return v;
  fail("form: ", key, "=\"", text, "\" is unknown");
}

template <class I>
I number(std::string_view key, std::string_view text) {
  I value{};
  const auto end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  check(error == std::errc() && at == end, "form: ", key, "=\"", text, "\" is not a number");
  return value;
}

void set(Form& f, std::string_view key, std::string_view text) {
  const std::array<std::pair<std::string_view, std::int64_t*>, 12> numbers{
      {{"n", &f.n},
       {"h", &f.h},
       {"w", &f.w},
       {"c", &f.c},
       {"o", &f.o},
       {"kh", &f.kh},
       {"kw", &f.kw},
       {"stride", &f.spec.stride},
       {"padding", &f.spec.padding},
       {"padding_w", &f.spec.padding_w},
       {"dilation", &f.spec.dilation},
       {"groups", &f.spec.groups}}};
  for (const auto& [name, value] : numbers)
    if (name == key) {
      *value = number<std::int64_t>(key, text);
      return;
    }
  if (key == "type") {
    f.type = parse_dtype(text);
  } else if (key == "threads") {
    f.threads = number<int>(key, text);
  } else if (key == "user") {
    f.user = value_in(user_names, key, text);
  } else if (key == "values") {
    f.values = value_in(value_names, key, text);
  } else if (key == "guard") {
    f.guard = value_in(guard_names, key, text);
  } else if (key == "seed") {
    f.seed = number<std::uint64_t>(key, text);
  } else if (key == "epilogue") {
    f.bias = text.find("bias") != text.npos;
    f.gates = text.find("gates") != text.npos;
    f.shortcut = text.find("shortcut") != text.npos;
    f.relu = text.find("relu") != text.npos;
  } else {
    fail("form: no \"", key, "\"");
  }
}

/// Draws of a form; each call takes the next number of the stream.
class Draw {
 public:
  explicit Draw(Generator rng) : rng_(rng) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(high - low + 1)));
  }
  bool percent(int chance) { return between(1, 100) <= chance; }
  std::int64_t one_of(std::initializer_list<std::int64_t> values) {
    return values.begin()[rng_.below(values.size())];
  }
  std::int64_t channels() {
    if (percent(40)) return between(1, 17);
    if (percent(30)) return one_of({8, 16, 24, 32, 48, 64});
    return between(1, 65);
  }
  std::int64_t pixels() {
    const int kind = static_cast<int>(between(1, 100));
    return between(1, kind <= 40 ? 16 : kind <= 75 ? 64 : 224);
  }

 private:
  Generator rng_;
};

void draw_window(Draw& draw, Form& f) {
  const int kind = static_cast<int>(draw.between(1, 100));
  f.kh = f.kw = kind <= 35 ? 1 : kind <= 60 ? 3 : draw.between(1, 7);
  if (kind > 85) f.kw = draw.between(1, 7);
  f.spec.stride = draw.percent(50) ? 1 : draw.percent(70) ? 2 : 3;
  f.spec.dilation = draw.percent(80) ? 1 : draw.between(2, 3);
  const auto pad = [&](std::int64_t k) {
    const std::int64_t span = f.spec.dilation * (k - 1) + 1;
    return draw.percent(65) ? span / 2 : draw.percent(50) ? 0 : draw.between(0, span);
  };
  f.spec.padding = pad(f.kh);
  f.spec.padding_w = f.kh != f.kw || draw.percent(15) ? pad(f.kw) : -1;
}

void draw_channels(Draw& draw, Form& f) {
  f.c = draw.channels();
  f.o = draw.channels();
  const int kind = static_cast<int>(draw.between(1, 100));
  if (kind <= 65) return;
  if (kind <= 83) {  // depthwise, some with several outputs per channel
    f.spec.groups = f.c;
    f.o = f.c * (draw.percent(80) ? 1 : draw.between(1, std::max<std::int64_t>(1, 65 / f.c)));
    return;
  }
  const std::int64_t most = 65;
  f.spec.groups = draw.between(2, 16);
  f.c = f.spec.groups * draw.between(1, std::max<std::int64_t>(1, most / f.spec.groups));
  f.o = draw.percent(50)
            ? f.c
            : f.spec.groups * draw.between(1, std::max<std::int64_t>(1, most / f.spec.groups));
}

void draw_user(Draw& draw, Form& f) {
  const int kind = static_cast<int>(draw.between(1, 100));
  f.user = kind <= 70   ? User::kernels
           : kind <= 82 ? User::conv2d
           : kind <= 95 ? User::folded
                        : User::norm_relu;
  f.bias = draw.percent(50);
  if (f.user == User::kernels || f.user == User::folded) {
    f.gates = draw.percent(35);
    f.shortcut = draw.percent(40);
    f.relu = draw.percent(50);
  }
  if (f.user == User::norm_relu) f.bias = false;
}

bool accepted(const Form& f, std::int64_t products) {
  const auto fits = [&](std::int64_t in, std::int64_t k, std::int64_t padding) {
    return in + 2 * padding >= f.spec.dilation * (k - 1) + 1;
  };
  if (!fits(f.h, f.kh, f.spec.padding) || !fits(f.w, f.kw, f.spec.row_padding())) return false;
  if (f.user == User::norm_relu && f.n * f.h * f.w < 2) return false;  // no variance
  constexpr std::int64_t elements = 1 << 20;
  return f.multiply_adds() <= products && f.x().numel() <= elements && f.y().numel() <= elements;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Form& f) {
  const ops::ConvSpec& s = f.spec;
  out << "n=" << f.n << " h=" << f.h << " w=" << f.w << " c=" << f.c << " o=" << f.o
      << " kh=" << f.kh << " kw=" << f.kw << " stride=" << s.stride << " padding=" << s.padding
      << " padding_w=" << s.padding_w << " dilation=" << s.dilation << " groups=" << s.groups
      << " type=" << f.type << " threads=" << f.threads << " epilogue=";
  const char* comma = "";
  for (const auto& [on, name] :
       {std::pair{f.bias, "bias"}, {f.gates, "gates"}, {f.shortcut, "shortcut"}, {f.relu, "relu"}})
    if (on) {
      out << comma << name;
      comma = ",";
    }
  return out << " user=" << name_in(user_names, f.user)
             << " values=" << name_in(value_names, f.values)
             << " guard=" << name_in(guard_names, f.guard) << " seed=" << f.seed;
}

Form parse_form(const std::string& text) {
  Form f;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    check(equals != word.npos, "form: \"", word, "\" is not name=value");
    const std::string_view w = word;
    set(f, w.substr(0, equals), w.substr(equals + 1));
  }
  check(f.threads >= 1, "form: ", f.threads, " threads");
  check(f.type == DType::f32 || f.type == DType::bf16, "form: type ", f.type,
        ", expected f32 or bf16");
  static_cast<void>(f.y());
  return f;
}

Form make_form(std::uint64_t seed, std::uint64_t index) {
  Draw draw(Generator(seed, index));
  const std::int64_t products = draw.percent(2)    ? 20'000'000
                                : draw.percent(30) ? 3'000'000
                                                   : 700'000;
  Form f;
  f.type = draw.percent(50) ? DType::f32 : DType::bf16;
  f.threads = static_cast<int>(draw.between(1, 4));
  f.values = draw.percent(75) ? Values::integers : Values::normal;
  f.guard = draw.percent(75) ? GuardedMemory::Against::end : GuardedMemory::Against::begin;
  f.seed = index;
  draw_user(draw, f);
  do {
    f.spec = {};
    draw_window(draw, f);
    draw_channels(draw, f);
    f.h = draw.pixels();
    f.w = draw.percent(40) ? f.h : draw.pixels();
    f.n = draw.percent(35) ? 1 : draw.between(1, 9);
  } while (!accepted(f, products));
  return f;
}

}  // namespace exciton::sweep
