// Pickles written by hand, opcode by opcode, and those that Python's own pickle module wrote.
#include "exciton/data/pickle.hpp"

#include <bit>

#include "exciton/data/formats.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;
using namespace std::string_literals;
using Kind = PickleValue::Kind;

bool any_name(std::string_view, std::string_view) { return true; }

Pickle pickle(const std::string& text, const PickleLimits& limits = {}) {
  return Pickle(Bytes(text.begin(), text.end()), "file.pkl", any_name, limits);
}

std::string le(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 0xff);
  return out;
}

TEST(Pickle, numbers_of_every_protocol) {
  const Pickle p = pickle("(I42\nI-7\nI01\nI00\nL123456789012L\nF2.5\nN" + "\x80\x02"s + "J" +
                          le(0xfffffffe, 4) + "K\xc8" + "M" + le(40000, 2) + "G" +
                          "\x3f\xf8\0\0\0\0\0\0"s + "\x88\x89" + "\x8a\x02\x00\xff"s + "\x8a\x00"s +
                          "\x8b" + le(9, 4) + "123456789" + "t.");
  const auto& items = p.root().items;
  ASSERT_TRUE(p.root().is(Kind::tuple));
  ASSERT_EQ(items.size(), 16u);
  const std::vector<std::int64_t> integers{42, -7, 1, 0, 123456789012};
  for (std::size_t i = 0; i < integers.size(); ++i) EXPECT_EQ(items[i]->integer, integers[i]) << i;
  EXPECT_TRUE(items[2]->is(Kind::boolean));
  EXPECT_EQ(items[5]->real, 2.5);
  EXPECT_TRUE(items[6]->is(Kind::none));
  EXPECT_EQ(items[7]->integer, -2);
  EXPECT_EQ(items[8]->integer, 200);
  EXPECT_EQ(items[9]->integer, 40000);
  EXPECT_EQ(items[10]->real, 1.5);
  EXPECT_TRUE(items[11]->is(Kind::boolean) && items[11]->integer == 1);
  EXPECT_TRUE(items[12]->is(Kind::boolean) && items[12]->integer == 0);
  EXPECT_EQ(items[13]->integer, -256);
  EXPECT_EQ(items[14]->integer, 0);
  EXPECT_TRUE(items[15]->is(Kind::big_integer));
  EXPECT_EQ(items[15]->text, "123456789");
}

TEST(Pickle, texts_and_bytes) {
  const Pickle p =
      pickle("(S'a\\'\\x41\\n'\nU\x02hiT" + le(3, 4) + "a\0b"s + "V\\u00e9\xe9\\U0001f600\nX" +
             le(2, 4) + "\xc3\xa9" + "C\x01zB" + le(1, 4) + "y" + "\x8c\x01x" + "\x8d" + le(1, 8) +
             "w" + "\x8e" + le(1, 8) + "v" + "\x96" + le(1, 8) + "u" + "l.");
  const std::vector<std::pair<Kind, std::string>> expected{
      {Kind::bytes, "a'A\n"},   {Kind::bytes, "hi"},
      {Kind::bytes, "a\0b"s},   {Kind::text, "\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80"},
      {Kind::text, "\xc3\xa9"}, {Kind::bytes, "z"},
      {Kind::bytes, "y"},       {Kind::text, "x"},
      {Kind::text, "w"},        {Kind::bytes, "v"},
      {Kind::bytes, "u"}};
  ASSERT_EQ(p.root().items.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(p.root().items[i]->kind, expected[i].first) << i;
    EXPECT_EQ(p.root().items[i]->text, expected[i].second) << i;
  }
}

TEST(Pickle, collections_and_what_is_kept) {
  // {"a": [1, 2, x], "b": x, "c": (1,)} with x = {3}; protocol 4 keeps it by MEMOIZE.
  const Pickle p =
      pickle("\x80\x04\x95" + le(1, 8) + "}(" + "\x8c\x01" + "a](K\x01K\x02\x8f(K\x03\x90\x94" +
             "e\x8c\x01" + "bh\0"s + "\x8c\x01" + "cK\x01\x85u.");
  ASSERT_TRUE(p.root().is(Kind::dict));
  const PickleValue* a = p.root().find("a");
  ASSERT_TRUE(a && a->is(Kind::list));
  ASSERT_EQ(a->items.size(), 3u);
  EXPECT_TRUE(a->items[2]->is(Kind::set));
  EXPECT_EQ(a->items[2], p.root().find("b"));
  ASSERT_EQ(p.root().find("c")->items.size(), 1u);
  EXPECT_EQ(p.root().find("d"), nullptr);
}

TEST(Pickle, calls_are_values) {
  // collections.OrderedDict() with an item and a state, as torch.save writes them, and a tensor's
  // storage by BINPERSID.
  const Pickle p = pickle("\x80\x02" + "ccollections\nOrderedDict\nq\0)Rq\1(X"s + le(1, 4) + "w(X" +
                          le(7, 4) + "storageK\5tQu}X" + le(1, 4) + "vK\1sb.");
  const PickleValue& made = p.root();
  EXPECT_TRUE(made.calls("collections", "OrderedDict"));
  EXPECT_TRUE(made.arguments(0, "test").empty());
  ASSERT_EQ(made.put.size(), 2u);
  EXPECT_EQ(made.put[0]->text, "w");
  ASSERT_TRUE(made.put[1]->is(Kind::persistent));
  EXPECT_EQ(made.put[1]->items[0]->items[1]->integer, 5);
  ASSERT_NE(made.state, nullptr);
  EXPECT_EQ(made.state->find("v")->integer, 1);
  EXPECT_EQ(pickle("\x8c\x01m\x8c\x01n\x93K\1\x85\x81.").root().items[0]->name, "n");
  EXPECT_EQ(pickle("(imod\nname\n.").root().items[0]->text, "mod");
  EXPECT_EQ(pickle("(cm\nn\nK\2o.").root().arguments(1, "test")[0]->integer, 2);
}

TEST(Pickle, refuses_names_that_are_not_expected) {
  const std::string attack = "cposix\nsystem\n(S'echo hacked'\ntR.";
  expect_error(
      [&] { Pickle(Bytes(attack.begin(), attack.end()), "evil.pkl", plain_pickle_global); },
      {"evil.pkl", "posix.system", "nothing of it was run"});
  const std::string late = "\x80\x04\x8c\x05posix\x8c\x06system\x93.";
  expect_error([&] { Pickle(Bytes(late.begin(), late.end()), "evil.pkl", plain_pickle_global); },
               {"posix.system"});
}

TEST(Pickle, damage_is_told_with_its_place) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "truncated"},
      {"K", "truncated"},
      {"U\x05"
       "abc",
       "truncated: 5 bytes should follow, there are 3"},
      {"\x8e" + le(~std::uint64_t{0}, 8), "truncated"},
      {"I12", "no end of the line"},
      {"Ixyz\n.", "no 64-bit integer"},
      {"I99999999999999999999\n.", "no 64-bit integer"},
      {"S'abc\n.", "without quotes"},
      {"S'\\q'\n.", "wrong escape"},
      {"S'\\x4'\n.", "wrong escape"},
      {"V\\uzzzz\n.", "wrong escape"},
      {".", "value that is not there"},
      {"(.", "inside a collection"},
      {"t.", "mark that is not there"},
      {"](K\x01u.", "no collection"},
      {"}(K\x01u.", "key without a value"},
      {"(K\x01"
       "d.",
       "key without a value"},
      {"K\x01K\x02"
       "a.",
       "no collection"},
      {"h\x07.", "recalls what was not kept"},
      {"g-1\n.", "negative"},
      {"K\x01)R.", "calls what is no name"},
      {"cm\nn\nK\x01R.", "no tuple"},
      {"]}b.", "state of no object"},
      {"K\x01K\x02\x93.", "name that is no text"},
      {"\x80\x06.", "protocol above 5"},
      {"\x95" + le(100, 8) + ".", "frame"},
      {"\x82\x01.", "opcode that is not read: 130"},
      {"\x97.", "opcode that is not read: 151"},
      {"\x8b" + le(5000, 4) + std::string(5000, 'x') + ".", "integer that is too long"}};
  for (const auto& c : cases) expect_error([&] { pickle(c.first); }, {"file.pkl", c.second});
}

TEST(Pickle, limits_hold_against_bombs) {
  expect_error([] { pickle(std::string(2000, '(')); }, {"nests too deeply"});
  expect_error([] { pickle("K\1" + std::string(1000, '2') + ".", {.values = 1000}); },
               {"more than 1000 values"});
  expect_error([] { pickle("(" + std::string(5'000'000, 'N') + "t."); }, {"4000000 values"});
  // A list that holds itself, and a million levels built from inside: no recursion anywhere.
  EXPECT_EQ(pickle("]q\0h\0a."s).root().items[0]->items.size(), 1u);
  std::string deep = "N";
  for (int i = 0; i < 1'000'000; ++i) deep += '\x85';
  EXPECT_TRUE(pickle(deep + '.').root().is(Kind::tuple));
}

std::string dtype(const std::string& type, const std::string& order = "|") {
  return "cnumpy\ndtype\n(U\x02" + type + "K\0K\1tR(K\3U\1"s + order + "NNNJ" + le(0xffffffff, 4) +
         "J" + le(0xffffffff, 4) + "K\0tb"s;
}

/// As Python 2 pickled an array.
std::string array(const std::string& shape, const std::string& data,
                  const std::string& module = "numpy.core.multiarray",
                  const std::string& type = dtype("u1")) {
  return "c" + module + "\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\1btR(K\1"s + shape + type +
         "\x89T" + le(data.size(), 4) + data + "tb";
}

TEST(Pickle, arrays_of_numpy) {
  for (const char* module : {"numpy.core.multiarray", "numpy._core.multiarray"}) {
    const Pickle p = pickle(array("(K\2K\3t", "abcdef", module) + ".");
    const NumpyArray a = numpy_array(p.root(), "test");
    EXPECT_EQ(a.type, "u1");
    EXPECT_EQ(a.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(a.bytes, "abcdef");
    EXPECT_FALSE(a.column_major);
  }
  // Protocol 5 within one stream.
  const Pickle five = pickle(
      "\x80\x05"
      "cnumpy.core.numeric\n_frombuffer\n(\x96" +
      le(4, 8) + "wxyz" + dtype("f4", ">") + "K\1\x85\x8c\1CtR.");
  EXPECT_EQ(numpy_array(five.root(), "test").bytes, "wxyz");
  EXPECT_EQ(numpy_array(five.root(), "test").type, ">f4");
  // Python 3 in protocol 2: Latin-1 text stands for bytes.
  const Pickle three = pickle(
      "\x80\x02"
      "c_codecs\nencode\nX" +
      le(3, 4) + "a\xc3\xbfX" + le(6, 4) + "latin1\x86R.");
  EXPECT_EQ(bytes_in(three.root(), "test"), "a\xff");
  const std::pair<std::string, const char*> wrong[] = {
      {array("(K\2K\3t", "abcde"), "5 bytes, its shape says 6"},
      {array("(J" + le(0xffffffff, 4) + "t", "a"), "no size"},
      {array("(M\xff\xffM\xff\xffM\xff\xffM\xff\xffM\xff\xfft", "a"), "impossible"},
      {array("K\2", "ab"), "shape of an array is an integer"},
      {array("(K\1t", "a", "numpy.core.multiarray", dtype("O8")), "\"O8\""},
      {array("(K\1t", "a", "numpy.core.multiarray", "N"), "type of an array is None"},
      {"N", "expected an array of numpy, got None"}};
  for (const auto& w : wrong)
    expect_error([&] { numpy_array(pickle(w.first + ".").root(), "who"); }, {"who", w.second});
}

/// A batch of the python version as Python 2 wrote it: image r has the label (f + r) % 10, and all
/// its values are 10 r + c in channel c.
std::string batch(int f, int images, const std::string& labels_key = "labels") {
  std::string data, labels;
  for (int r = 0; r < images; ++r) {
    labels += 'K';
    labels += static_cast<char>((f + r) % 10);
    for (int c = 0; c < 3; ++c) data += std::string(1024, static_cast<char>(10 * r + c));
  }
  const auto key = [](const std::string& text) {
    return "U" + std::string(1, static_cast<char>(text.size())) + text;
  };
  return "\x80\x02}q\1("s + key("data") +
         array("(K" + std::string(1, static_cast<char>(images)) + "M" + le(3072, 2) + "t", data) +
         key(labels_key) + "](" + labels + "eu.";
}

TEST(CifarPython, reads_the_published_layout) {
  const TempDir dir;
  const auto where = dir / "cifar-10-batches-py";
  for (int f = 0; f < 5; ++f)
    write_file(where / ("data_batch_" + std::to_string(f + 1)), batch(f, 2));
  write_file(where / "test_batch", batch(7, 3));
  const auto train = open_dataset("auto", dir.path(), "train");
  ASSERT_EQ(train->size(), 10);
  EXPECT_EQ(train->class_names()[9], "truck");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(train->label(i), i / 2 + i % 2);
  Image image;
  train->read(3, image);
  EXPECT_EQ(std::vector<int>(image.pixels.begin(), image.pixels.begin() + 6),
            (std::vector<int>{10, 11, 12, 10, 11, 12}));
  EXPECT_EQ(open_dataset("cifar10", where, "test")->label(2), 9);
  std::string names = "\x80\x02}U\x0blabel_names](";
  for (char c = 'a'; c < 'k'; ++c) names += "U\1" + std::string(1, c);
  write_file(where / "batches.meta", names + "es.");
  EXPECT_EQ(open_dataset("cifar10", dir.path(), "test")->class_names()[2], "c");
}

TEST(CifarPython, hundred_takes_the_fine_labels) {
  const TempDir dir;
  const auto where = dir / "cifar-100-python";
  write_file(where / "train", batch(3, 2, "fine_labels"));
  write_file(where / "test", batch(5, 1, "fine_labels"));
  std::string names =
      "\x80\x02}(U\x10"
      "fine_label_names](";
  for (int i = 0; i < 100; ++i)
    names += "U\2" + std::string{static_cast<char>('0' + i / 10), static_cast<char>('0' + i % 10)};
  write_file(where / "meta", names + "eu.");
  const auto train = open_dataset("auto", dir.path(), "train");
  EXPECT_EQ(train->label(1), 4);
  EXPECT_EQ(train->class_names()[42], "42");
  EXPECT_EQ(open_dataset("cifar100", dir.path(), "test")->size(), 1);
}

TEST(CifarPython, errors_name_the_file_and_what_is_wrong) {
  const TempDir dir;
  for (int f = 0; f < 5; ++f)
    write_file(dir / ("data_batch_" + std::to_string(f + 1)), batch(f, 2));
  const auto open = [&] { open_dataset("cifar10", dir.path(), "train"); };
  write_file(dir / "data_batch_3", batch(0, 2, "labelz"));
  expect_error(open, {"data_batch_3", "without \"labels\""});
  write_file(dir / "data_batch_3", batch(0, 2).substr(0, 4000));
  expect_error(open, {"data_batch_3", "truncated"});
  write_file(dir / "data_batch_3", "cos\nsystem\n."s);
  expect_error(open, {"data_batch_3", "os.system"});
  std::filesystem::remove(dir / "data_batch_3");
  expect_error(open, {"no file", "data_batch_3"});
  expect_error([&] { open_dataset("cifar10", dir.path(), "test"); }, {"no file", "test_batch"});
}

}  // namespace
}  // namespace exciton::data
