/// Python's pickles as values. Nothing in them is run.
///
/// A pickle is a program for a stack machine that may name any function of Python and have it
/// called. Here a name is a value, and so is a call: who reads the file looks at them and decides
/// what they stand for. Names that the reader did not allow are an error at once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/error.hpp"

namespace exciton::data {

/// One value of a pickle. Values may be shared, and in a hostile file hold themselves: walk them no
/// deeper than you know them.
struct PickleValue {
  enum class Kind {
    none,
    boolean,      ///< `integer`, 0 or 1
    integer,      ///< `integer`
    big_integer,  ///< `text`: two's complement, little-endian, more than 8 bytes
    real,         ///< `real`
    bytes,        ///< `text`; Python 2's str, too
    text,         ///< `text`, UTF-8 if the file keeps to the rules
    list,         ///< `items`
    tuple,        ///< `items`
    set,          ///< `items`
    dict,         ///< `items`: key, value, key, value, ...
    global,       ///< `text` is the module, `name` the name in it
    call,       ///< `items`: what is called, its arguments (a tuple), and perhaps keywords (a dict)
    persistent  ///< `items`: the identifier of something that lies outside the pickle
  };
  Kind kind = Kind::none;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text, name;
  std::vector<const PickleValue*> items;
  /// Of a call: what the object that came out was given afterwards.
  const PickleValue* state = nullptr;   ///< by __setstate__, or as attributes
  std::vector<const PickleValue*> put;  ///< list items, or the keys and values of a dict

  bool is(Kind k) const { return kind == k; }
  bool is_global(std::string_view module, std::string_view its_name) const {
    return kind == Kind::global && text == module && name == its_name;
  }
  /// True for a call of that function.
  bool calls(std::string_view module, std::string_view its_name) const {
    return kind == Kind::call && items[0]->is_global(module, its_name);
  }
  /// The arguments of a call. Errors: it is none, or has not `count` of them.
  const std::vector<const PickleValue*>& arguments(std::size_t count, std::string_view who) const;
  /// What a dict holds under a text or bytes key; nullptr: no dict, or nothing.
  const PickleValue* find(std::string_view key) const;
};

/// "a list", for errors.
std::string_view kind_of(const PickleValue& value);

struct PickleLimits {
  std::int64_t values = 4'000'000;  ///< made, and put on the stack again; about 100 bytes each
  std::size_t integer_bytes = 1024;
  std::size_t marks = 1000;  ///< open at a time: lists within lists
};

/// The bytes end before the pickle does.
class PickleTruncated : public Error {
 public:
  using Error::Error;
};

class Pickle {
 public:
  /// Whether a global name may stand in the pickle.
  using Allowed = std::function<bool(std::string_view module, std::string_view name)>;

  /// Protocols 0 to 5; what stands behind its end is not looked at. `file` names it in errors.
  /// Errors: PickleTruncated; an opcode that is not known or has no meaning without Python
  /// (extension registry, out-of-band buffers), a stack that has not what an opcode takes, a name
  /// that is not allowed, a limit.
  Pickle(std::vector<std::uint8_t> bytes, std::string file, const Allowed& allowed,
         const PickleLimits& limits = {});
  Pickle(Pickle&&) = default;
  Pickle& operator=(Pickle&&) = delete;
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const PickleValue& root() const { return *root_; }
  const std::string& file() const { return file_; }
  /// All values in the order in which they were made, those that the root does not lead to as well.
  const std::deque<PickleValue>& values() const { return values_; }
  /// Its length.
  std::size_t bytes_read() const { return bytes_read_; }

 private:
  friend class PickleMachine;
  std::vector<std::uint8_t> bytes_;  ///< most texts are views of it
  std::string file_;
  std::deque<std::string> decoded_;  ///< the others
  std::deque<PickleValue> values_;
  const PickleValue* root_ = nullptr;
  std::size_t bytes_read_ = 0;
};

/// The bytes that a value stands for: bytes, text, and what Python 3 writes for bytes in protocols
/// 0 to 2: `_codecs.encode(text, "latin1")`, or a call of `bytes` or `bytearray`. Errors: something
/// else.
std::string bytes_in(const PickleValue& value, std::string_view who);

/// True for the names that bytes_in and numpy_array understand.
bool plain_pickle_global(std::string_view module, std::string_view name);

/// An array of numpy.
struct NumpyArray {
  std::string type;  ///< kind and bytes of an element: "u1", "f4"; the order of bytes before it
                     ///< where that matters: ">f4"
  std::vector<std::int64_t> shape;
  bool column_major = false;
  std::string bytes;
};

/// Errors: no array, elements that are objects, a shape that does not fit the bytes.
NumpyArray numpy_array(const PickleValue& value, std::string_view who);

}  // namespace exciton::data
