#include "exciton/data/pickle.hpp"

#include <bit>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <unordered_map>
#include <utility>

#include "exciton/core/error.hpp"

namespace exciton::data {
namespace {

using Kind = PickleValue::Kind;

/// Appends a code point as UTF-8.
void append_utf8(std::string& to, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18 & 7));
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

}  // namespace

/// The stack machine. A value on the stack is written to only by the opcodes that add to it.
class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, const Pickle::Allowed& allowed, const PickleLimits& limits)
      : to_(pickle), allowed_(allowed), limits_(limits) {}

  const PickleValue* run() {
    while (true) {
      const auto opcode = static_cast<unsigned char>(take(1)[0]);
      if (opcode == '.') break;
      execute(opcode);
    }
    require(marks_.empty(), "ends inside a collection");
    to_.bytes_read_ = at_;
    return pop();
  }

 private:
  std::string place() const {
    return "pickle: " + to_.file_ + ": byte " + std::to_string(at_) + ": ";
  }
  [[noreturn]] void wrong(const std::string& what) const { fail(place(), what); }
  [[noreturn]] void truncated(const std::string& what) const {
    throw PickleTruncated(place() + "is truncated: " + what);
  }
  void require(bool ok, const char* what) const {
    if (!ok) wrong(what);
  }

  // What lies in the file.
  std::string_view take(std::uint64_t count) {
    if (count > to_.bytes_.size() - at_)
      truncated(std::to_string(count) + " bytes should follow, there are " +
                std::to_string(to_.bytes_.size() - at_));
    const char* begin = reinterpret_cast<const char*>(to_.bytes_.data()) + at_;
    at_ += static_cast<std::size_t>(count);
    return {begin, static_cast<std::size_t>(count)};
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(to_.bytes_.data()) + at_,
                                to_.bytes_.size() - at_);
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) truncated("no end of the line");
    at_ += end + 1;
    return rest.substr(0, end);
  }
  std::uint64_t number(std::size_t bytes) {
    const std::string_view raw = take(bytes);
    std::uint64_t out = 0;
    for (std::size_t i = bytes; i-- > 0;) out = out << 8 | static_cast<unsigned char>(raw[i]);
    return out;
  }
  std::int64_t decimal(std::string_view text) const {
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    require(error == std::errc{} && end == text.data() + text.size(), "has no 64-bit integer");
    return out;
  }

  // The stack.
  PickleValue* make(Kind kind) {
    count();
    PickleValue& value = to_.values_.emplace_back();
    value.kind = kind;
    return &value;
  }
  void count() {
    if (++made_ > limits_.values)
      wrong("has more than " + std::to_string(limits_.values) + " values");
  }
  PickleValue* push(PickleValue* value) {
    stack_.push_back(value);
    return value;
  }
  void push_again(PickleValue* value) {
    count();
    push(value);
  }
  PickleValue* push(Kind kind) { return push(make(kind)); }
  void push_integer(std::int64_t value, Kind kind = Kind::integer) { push(kind)->integer = value; }
  void push_text(Kind kind, std::string_view text) { push(kind)->text = text; }
  PickleValue* top() {
    require(stack_.size() > floor(), "takes a value that is not there");
    return stack_.back();
  }
  PickleValue* pop() {
    PickleValue* value = top();
    stack_.pop_back();
    return value;
  }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  /// Everything since the last mark.
  std::vector<const PickleValue*> pop_mark() {
    require(!marks_.empty(), "takes values since a mark that is not there");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleValue*> out(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return out;
  }
  std::vector<const PickleValue*> pop_many(std::size_t count_of) {
    std::vector<const PickleValue*> out(count_of);
    for (std::size_t i = count_of; i-- > 0;) out[i] = pop();
    return out;
  }
  void push_items(Kind kind, std::vector<const PickleValue*> items) {
    require(kind != Kind::dict || items.size() % 2 == 0, "has a key without a value");
    push(kind)->items = std::move(items);
  }

  // Opcodes.
  void add(PickleValue* to, const std::vector<const PickleValue*>& items, bool pairs) {
    const bool fits = pairs ? to->is(Kind::dict) : to->is(Kind::list) || to->is(Kind::set);
    require(fits || to->is(Kind::call), "adds to what is no collection");
    require(!pairs || items.size() % 2 == 0, "has a key without a value");
    auto& into = to->is(Kind::call) ? to->put : to->items;
    into.insert(into.end(), items.begin(), items.end());
  }
  void push_global(std::string_view module, std::string_view name) {
    if (!allowed_(module, name))
      wrong("names " + std::string(module.substr(0, 100)) + '.' + std::string(name.substr(0, 100)) +
            ", which is none of what is expected here; nothing of it was run");
    PickleValue* value = push(Kind::global);
    value->text = module;
    value->name = name;
  }
  void push_call(const PickleValue* function, const PickleValue* arguments,
                 const PickleValue* keywords = nullptr) {
    require(function->is(Kind::global) || function->is(Kind::call), "calls what is no name");
    require(arguments->is(Kind::tuple), "calls with what is no tuple");
    PickleValue* value = push(Kind::call);
    value->items = {function, arguments};
    if (keywords) value->items.push_back(keywords);
  }
  void push_tuple_call(std::vector<const PickleValue*> items) {
    require(!items.empty(), "calls nothing");
    PickleValue* arguments = make(Kind::tuple);
    arguments->items.assign(items.begin() + 1, items.end());
    push_call(items[0], arguments);
  }
  void build() {
    const PickleValue* state = pop();
    PickleValue* object = top();
    require(object->is(Kind::call) && object->state == nullptr, "sets the state of no object");
    object->state = state;
  }
  void memoize(std::uint64_t key) {
    count();
    memo_[key] = top();
  }
  void push_memo(std::uint64_t key) {
    const auto found = memo_.find(key);
    require(found != memo_.end(), "recalls what was not kept");
    push_again(found->second);
  }
  std::uint64_t memo_key(std::string_view text) const {
    const std::int64_t key = decimal(text);
    require(key >= 0, "has a negative place to keep a value");
    return static_cast<std::uint64_t>(key);
  }
  void push_long(std::string_view raw) {  // two's complement, little-endian
    require(raw.size() <= limits_.integer_bytes, "has an integer that is too long");
    if (raw.size() > 8) return push_text(Kind::big_integer, raw);
    std::uint64_t bits = !raw.empty() && (raw.back() & 0x80) ? ~std::uint64_t{0} : 0;
    for (std::size_t i = raw.size(); i-- > 0;)
      bits = bits << 8 | static_cast<unsigned char>(raw[i]);
    push_integer(static_cast<std::int64_t>(bits));
  }
  void push_int_line(std::string_view text) {
    if (text == "00" || text == "01") return push_integer(text[1] - '0', Kind::boolean);
    if (text.ends_with('L')) text.remove_suffix(1);
    push_integer(decimal(text));
  }
  void push_float_line(std::string_view text) {
    require(!text.empty() && text.size() < 64, "has no number");
    const std::string copy(text);
    char* end = nullptr;
    push(Kind::real)->real = std::strtod(copy.c_str(), &end);
    require(end == copy.c_str() + copy.size(), "has no number");
  }
  static std::uint32_t hex(std::string_view digits) {
    std::uint32_t out = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    return error == std::errc{} && end == digits.data() + digits.size() ? out : 0xffffffffu;
  }
  /// A string literal of Python 2.
  void push_quoted(std::string_view text) {
    require(text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0],
            "has a string without quotes");
    text = text.substr(1, text.size() - 2);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      require(++i < text.size(), "has a string that ends in a backslash");
      static constexpr std::string_view from = "nrtabfv\\'\"0", stands = "\n\r\t\a\b\f\v\\'\"";
      if (text[i] == 'x') {
        const std::uint32_t code = i + 2 < text.size() ? hex(text.substr(i + 1, 2)) : 256;
        require(code < 256, "has a string with a wrong escape");
        out += static_cast<char>(code);
        i += 2;
      } else if (const auto place = from.find(text[i]); place != std::string_view::npos) {
        out += text[i] == '0' ? '\0' : stands[place];
      } else {
        wrong("has a string with a wrong escape");
      }
    }
    push_text(Kind::bytes, to_.decoded_.emplace_back(std::move(out)));
  }
  /// Latin-1 with \uXXXX and \UXXXXXXXX.
  void push_raw_unicode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool escape = text[i] == '\\' && i + 1 < text.size();
      const std::size_t digits = !escape ? 0 : text[i + 1] == 'u' ? 4 : text[i + 1] == 'U' ? 8 : 0;
      if (digits == 0) {
        append_utf8(out, static_cast<unsigned char>(text[i]));
        continue;
      }
      const std::uint32_t code =
          i + 1 + digits < text.size() ? hex(text.substr(i + 2, digits)) : 0xffffffffu;
      require(code <= 0x10ffff, "has a text with a wrong escape");
      append_utf8(out, code);
      i += 1 + digits;
    }
    push_text(Kind::text, to_.decoded_.emplace_back(std::move(out)));
  }
  void push_persistent(const PickleValue* id) { push(Kind::persistent)->items = {id}; }
  void push_persistent_line() {
    PickleValue* id = make(Kind::bytes);
    id->text = line();
    push_persistent(id);
  }
  void push_stack_global() {
    const auto names = pop_many(2);
    require(names[0]->is(Kind::text) && names[1]->is(Kind::text), "has a name that is no text");
    push_global(names[0]->text, names[1]->text);
  }
  void mark() {
    require(marks_.size() < limits_.marks, "nests too deeply");
    marks_.push_back(stack_.size());
  }

  void execute(unsigned char opcode) {
    switch (opcode) {
      case 0x80:  // PROTO
        require(number(1) <= 5, "is of a protocol above 5");
        return;
      case 0x95:  // FRAME
        if (number(8) > to_.bytes_.size() - at_) truncated("a frame is not whole");
        return;
      case '(':
        return mark();
      case '0':
        if (stack_.size() == floor() && !marks_.empty())
          marks_.pop_back();
        else
          pop();
        return;
      case '1':
        pop_mark();
        return;
      case '2':
        return push_again(top());
      // Numbers.
      case 'N':
        push(Kind::none);
        return;
      case 0x88:
        return push_integer(1, Kind::boolean);
      case 0x89:
        return push_integer(0, Kind::boolean);
      case 'I':
      case 'L':
        return push_int_line(line());
      case 'J':
        return push_integer(static_cast<std::int32_t>(static_cast<std::uint32_t>(number(4))));
      case 'K':
        return push_integer(static_cast<std::int64_t>(number(1)));
      case 'M':
        return push_integer(static_cast<std::int64_t>(number(2)));
      case 0x8a:
        return push_long(take(number(1)));
      case 0x8b:
        return push_long(take(number(4)));
      case 'F':
        return push_float_line(line());
      case 'G': {
        std::uint64_t bits = 0;
        for (const char byte : take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
        push(Kind::real)->real = std::bit_cast<double>(bits);
        return;
      }
      // Bytes and text.
      case 'S':
        return push_quoted(line());
      case 'U':
      case 'C':
        return push_text(Kind::bytes, take(number(1)));
      case 'T':
      case 'B':
        return push_text(Kind::bytes, take(number(4)));
      case 0x8e:
      case 0x96:
        return push_text(Kind::bytes, take(number(8)));
      case 'V':
        return push_raw_unicode(line());
      case 0x8c:
        return push_text(Kind::text, take(number(1)));
      case 'X':
        return push_text(Kind::text, take(number(4)));
      case 0x8d:
        return push_text(Kind::text, take(number(8)));
      // Collections.
      case ']':
        push(Kind::list);
        return;
      case '}':
        push(Kind::dict);
        return;
      case ')':
        push(Kind::tuple);
        return;
      case 0x8f:
        push(Kind::set);
        return;
      case 'l':
        return push_items(Kind::list, pop_mark());
      case 'd':
        return push_items(Kind::dict, pop_mark());
      case 't':
        return push_items(Kind::tuple, pop_mark());
      case 0x91:
        return push_items(Kind::set, pop_mark());
      case 0x85:
      case 0x86:
      case 0x87:
        return push_items(Kind::tuple, pop_many(opcode - std::size_t{0x84}));
      case 'a': {
        const auto item = pop_many(1);
        return add(top(), item, false);
      }
      case 's': {
        const auto pair = pop_many(2);
        return add(top(), pair, true);
      }
      case 'e':
      case 0x90: {
        const auto items = pop_mark();
        return add(top(), items, false);
      }
      case 'u': {
        const auto items = pop_mark();
        return add(top(), items, true);
      }
      // Names and calls.
      case 'c': {
        const std::string_view module = line();
        return push_global(module, line());
      }
      case 0x93:
        return push_stack_global();
      case 'R':
      case 0x81: {
        const auto call = pop_many(2);
        return push_call(call[0], call[1]);
      }
      case 0x92: {
        const auto call = pop_many(3);
        require(call[2]->is(Kind::dict), "calls with keywords that are no dict");
        return push_call(call[0], call[1], call[2]);
      }
      case 'o':
        return push_tuple_call(pop_mark());
      case 'i': {
        const std::string_view module = line(), name = line();
        std::vector<const PickleValue*> items = pop_mark();
        push_global(module, name);
        items.insert(items.begin(), pop());
        return push_tuple_call(std::move(items));
      }
      case 'b':
        return build();
      case 'P':
        return push_persistent_line();
      case 'Q':
        return push_persistent(pop());
      // What is kept for later.
      case 'p':
        return memoize(memo_key(line()));
      case 'q':
        return memoize(number(1));
      case 'r':
        return memoize(number(4));
      case 0x94:
        return memoize(memo_.size());
      case 'g':
        return push_memo(memo_key(line()));
      case 'h':
        return push_memo(number(1));
      case 'j':
        return push_memo(number(4));
      default:
        wrong("has an opcode that is not read: " + std::to_string(opcode));
    }
  }

  Pickle& to_;
  const Pickle::Allowed& allowed_;
  const PickleLimits limits_;
  std::size_t at_ = 0;
  std::int64_t made_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;  // stack sizes
  std::unordered_map<std::uint64_t, PickleValue*> memo_;
};

Pickle::Pickle(std::vector<std::uint8_t> bytes, std::string file, const Allowed& allowed,
               const PickleLimits& limits)
    : bytes_(std::move(bytes)), file_(std::move(file)) {
  root_ = PickleMachine(*this, allowed, limits).run();
}

const std::vector<const PickleValue*>& PickleValue::arguments(std::size_t count,
                                                              std::string_view who) const {
  check(kind == Kind::call && items[1]->items.size() == count, who, ": a call of ",
        items.empty() ? std::string_view("?") : items[0]->name,
        " has other arguments than expected");
  return items[1]->items;
}

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::dict) return nullptr;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const PickleValue& own = *items[i];
    if ((own.is(Kind::text) || own.is(Kind::bytes)) && own.text == key) return items[i + 1];
    if (own.calls("_codecs", "encode") && bytes_in(own, "pickle") == key) return items[i + 1];
  }
  return nullptr;
}

std::string_view kind_of(const PickleValue& value) {
  switch (value.kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return "a truth value";
    case Kind::integer:
    case Kind::big_integer:
      return "an integer";
    case Kind::real:
      return "a number";
    case Kind::bytes:
      return "bytes";
    case Kind::text:
      return "a text";
    case Kind::list:
      return "a list";
    case Kind::tuple:
      return "a tuple";
    case Kind::set:
      return "a set";
    case Kind::dict:
      return "a dict";
    case Kind::global:
      return "a name";
    case Kind::call:
      return "an object";
    case Kind::persistent:
      return "something outside the pickle";
  }
  return "something else";
}

namespace {

/// The bytes whose values are the code points of a text.
std::string latin1_of(std::string_view utf8, std::string_view who) {
  std::string out;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto first = static_cast<unsigned char>(utf8[i]);
    if (first < 0x80) {
      out += utf8[i];
      continue;
    }
    const auto second =
        i + 1 < utf8.size() ? static_cast<unsigned char>(utf8[i + 1]) : std::uint8_t{0};
    check((first == 0xc2 || first == 0xc3) && (second & 0xc0) == 0x80, who,
          ": bytes that are written as Latin-1 hold another character");
    out += static_cast<char>((first & 3) << 6 | (second & 0x3f));
    ++i;
  }
  return out;
}

/// numpy.core became numpy._core in numpy 2.
bool is_numpy(std::string_view module, std::string_view below) {
  for (const std::string_view core : {"numpy.core.", "numpy._core."})
    if (module.starts_with(core) && module.substr(core.size()) == below) return true;
  return false;
}

bool calls_numpy(const PickleValue& value, std::string_view below, std::string_view name) {
  return value.is(Kind::call) && value.items[0]->name == name &&
         is_numpy(value.items[0]->text, below);
}

bool is_builtin(std::string_view module) { return module == "builtins" || module == "__builtin__"; }

std::vector<std::int64_t> shape_in(const PickleValue& value, std::string_view who) {
  check(value.is(Kind::tuple), who, ": the shape of an array is ", kind_of(value));
  std::vector<std::int64_t> out;
  for (const PickleValue* extent : value.items) {
    check(extent->is(Kind::integer) && extent->integer >= 0, who,
          ": an extent of an array is no size");
    out.push_back(extent->integer);
  }
  return out;
}

/// dtype("u1", align, copy), then __setstate__((version, "|", ...)).
std::string type_in(const PickleValue& value, std::string_view who) {
  check(value.calls("numpy", "dtype"), who, ": the type of an array is ", kind_of(value));
  std::string type = bytes_in(*value.arguments(3, who)[0], who);
  const bool number = type.size() == 2 &&
                      std::string_view("buif").find(type[0]) != std::string_view::npos &&
                      std::string_view("1248").find(type[1]) != std::string_view::npos;
  check(number, who, ": an array has elements of type \"", type.substr(0, 40),
        "\", no plain numbers");
  const PickleValue* state = value.state;
  if (state && state->is(Kind::tuple) && state->items.size() >= 2) {
    const std::string order = bytes_in(*state->items[1], who);
    if (order == ">") type = ">" + type;
  }
  return type;
}

}  // namespace

bool plain_pickle_global(std::string_view module, std::string_view name) {
  if (module == "_codecs") return name == "encode";
  if (is_builtin(module)) return name == "bytes" || name == "bytearray";
  if (module == "numpy") return name == "ndarray" || name == "dtype";
  return (is_numpy(module, "multiarray") && name == "_reconstruct") ||
         (is_numpy(module, "numeric") && name == "_frombuffer");
}

std::string bytes_in(const PickleValue& value, std::string_view who) {
  if (value.is(Kind::bytes) || value.is(Kind::text)) return std::string(value.text);
  check(value.is(Kind::call), who, ": expected bytes, got ", kind_of(value));
  const auto& arguments = value.items[1]->items;
  if (value.calls("_codecs", "encode") && arguments.size() == 2 && arguments[0]->is(Kind::text) &&
      (arguments[1]->text == "latin1" || arguments[1]->text == "latin-1"))
    return latin1_of(arguments[0]->text, who);
  if (is_builtin(value.items[0]->text) && arguments.empty()) return "";
  check(is_builtin(value.items[0]->text) && arguments[0]->is(Kind::bytes), who,
        ": expected bytes, got a call of ", value.items[0]->text, '.', value.items[0]->name);
  return std::string(arguments[0]->text);
}

NumpyArray numpy_array(const PickleValue& value, std::string_view who) {
  NumpyArray out;
  const PickleValue *type = nullptr, *bytes = nullptr;
  if (calls_numpy(value, "multiarray", "_reconstruct")) {
    check(value.state && value.state->is(Kind::tuple) && value.state->items.size() == 5, who,
          ": an array without its contents");
    const auto& state = value.state->items;  // version, shape, type, column-major, bytes
    out.shape = shape_in(*state[1], who);
    type = state[2];
    out.column_major = state[3]->integer != 0;
    bytes = state[4];
  } else if (calls_numpy(value, "numeric", "_frombuffer")) {
    const auto& arguments = value.arguments(4, who);  // bytes, type, shape, order
    bytes = arguments[0];
    type = arguments[1];
    out.shape = shape_in(*arguments[2], who);
    out.column_major = arguments[3]->text == "F";
  } else {
    fail(who, ": expected an array of numpy, got ", kind_of(value));
  }
  out.type = type_in(*type, who);
  out.bytes = bytes_in(*bytes, who);
  std::int64_t wanted = out.type.back() - '0';
  for (const std::int64_t extent : out.shape) {
    check(extent == 0 || wanted <= std::numeric_limits<std::int64_t>::max() / extent, who,
          ": the shape of an array is impossible");
    wanted *= extent;
  }
  check(static_cast<std::int64_t>(out.bytes.size()) == wanted, who, ": an array has ",
        out.bytes.size(), " bytes, its shape says ", wanted);
  return out;
}

}  // namespace exciton::data
