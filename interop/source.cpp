#include "exciton/interop/source.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/core/suggest.hpp"

namespace exciton::interop {
namespace {

/// Regular expressions and replacements, applied one after another.
using Rules = std::vector<std::pair<std::string, std::string>>;

std::function<std::string(const std::string&)> renaming(const Rules& rules) {
  std::vector<std::pair<std::regex, std::string>> compiled;
  for (const auto& [from, to] : rules) compiled.emplace_back(std::regex(from), to);
  return [compiled](const std::string& ours) {
    std::string name = ours;
    for (const auto& [from, to] : compiled) name = std::regex_replace(name, from, to);
    return name;
  };
}

Rules operator+(Rules a, const Rules& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Rules torchvision_rules = {{R"(^stage(\d)\.)", "layer$1."},
                                 {R"(\.shortcut\.conv\.)", ".downsample.0."},
                                 {R"(\.shortcut\.bn\.)", ".downsample.1."}};
const Rules akamaster_rules = {{R"(^stage(\d)\.)", "layer$1."},
                               {R"(\.shortcut\.conv\.)", ".shortcut.0."},
                               {R"(\.shortcut\.bn\.)", ".shortcut.1."},
                               {R"(^fc\.)", "linear."}};
const Rules se_timm = {{R"(\.se\.reduce\.)", ".se.fc1."}, {R"(\.se\.expand\.)", ".se.fc2."}};
const Rules se_cadene = {{R"(\.se\.reduce\.)", ".se_module.fc1."},
                         {R"(\.se\.expand\.)", ".se_module.fc2."}};
const Rules se_moskomule = {{R"(\.se\.reduce\.)", ".se.fc.0."}, {R"(\.se\.expand\.)", ".se.fc.2."}};
const Rules stem_cadene = {{R"(^(conv|bn)(\d)\.)", "layer0.$1$2."}, {R"(^fc\.)", "last_linear."}};
const Rules stem_deep = {{R"(^conv1\.)", "conv1.0."}, {R"(^bn1\.)", "conv1.1."},
                         {R"(^conv2\.)", "conv1.3."}, {R"(^bn2\.)", "conv1.4."},
                         {R"(^conv3\.)", "conv1.6."}, {R"(^bn3\.)", "bn1."}};

/// "features.12.conv.weight": what stands before ("features."), the number, what follows.
struct Numbered {
  int number;
  std::string rest;
};
std::optional<Numbered> numbered(const std::string& name, std::string_view before) {
  if (!name.starts_with(before)) return std::nullopt;
  const auto dot = name.find('.', before.size());
  if (dot == std::string::npos) return std::nullopt;
  return Numbered{std::stoi(name.substr(before.size(), dot - before.size())), name.substr(dot)};
}

/// Here a unit of convolution and norm is one module, and so is a pool; there convolution, norm,
/// ReLU and pool are.
std::string torchvision_vgg(const std::string& ours) {
  const auto at = numbered(ours, "features.");
  if (!at) return ours;
  int own = 0, theirs = 0;
  for (const int convolutions : {2, 2, 3, 3, 3}) {
    for (int i = 0; i < convolutions; ++i, ++own, theirs += 3) {
      if (own != at->number) continue;
      const bool norm = at->rest.starts_with(".bn.");
      return "features." + std::to_string(theirs + (norm ? 1 : 0)) + at->rest.substr(norm ? 3 : 5);
    }
    ++own;  // the pool
    ++theirs;
  }
  return ours;
}

std::string timm_vgg(const std::string& ours) {
  static const auto head = renaming({{R"(^classifier\.0\.)", "pre_logits.fc1."},
                                     {R"(^classifier\.3\.)", "pre_logits.fc2."},
                                     {R"(^classifier\.6\.)", "head.fc."}});
  return head(torchvision_vgg(ours));
}

std::string timm_mobilenet(const std::string& ours) {
  static constexpr std::array stages{0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4};
  if (ours.starts_with("fc.")) return "classifier." + ours.substr(3);
  const auto at = numbered(ours, "features.");
  if (!at) return ours;
  const bool norm = at->rest.starts_with(".bn.");
  const std::string rest = at->rest.substr(norm ? 3 : 5);
  if (at->number == 0) return (norm ? "bn1" : "conv_stem") + rest;
  const int unit = (at->number - 1) / 2, stage = stages[static_cast<std::size_t>(unit)];
  const auto first = std::ranges::find(stages, stage) - stages.begin();
  const bool pointwise = at->number % 2 == 0;
  const std::string part = norm ? (pointwise ? "bn2" : "bn1") : (pointwise ? "conv_pw" : "conv_dw");
  return "blocks." + std::to_string(stage) + '.' + std::to_string(unit - first) + '.' + part + rest;
}

std::function<std::string(const std::string&)> inception_resnet(const std::string& classifier) {
  return renaming({{R"(^stem\.0\.)", "conv2d_1a."},
                   {R"(^stem\.1\.)", "conv2d_2a."},
                   {R"(^stem\.2\.)", "conv2d_2b."},
                   {R"(^stem\.4\.)", "conv2d_3b."},
                   {R"(^stem\.5\.)", "conv2d_4a."},
                   {R"(^(mixed|reduction_[ab])\.(\d)\.(\d)\.)", "$1.branch$2.$3."},
                   {R"(^mixed\.branch0\.0\.)", "mixed.branch0."},
                   {R"(^mixed\.branch3\.1\.)", "mixed.branch3.1."},
                   {R"(^reduction_a\.branch0\.0\.)", "reduction_a.branch0."},
                   {R"(^mixed\.)", "mixed_5b."},
                   {R"(^reduction_a\.)", "mixed_6a."},
                   {R"(^reduction_b\.)", "mixed_7a."},
                   {R"(^([abc]\.\d+)\.branches\.0\.0\.)", "$1.branch0."},
                   {R"(^([abc]\.\d+)\.branches\.(\d)\.(\d)\.)", "$1.branch$2.$3."},
                   {R"(^([abc]\.\d+)\.conv\.)", "$1.conv2d."},
                   {R"(^a\.)", "repeat."},
                   {R"(^b\.)", "repeat_1."},
                   {R"(^c\.9\.)", "block8."},
                   {R"(^c\.)", "repeat_2."},
                   {R"(^final_conv\.)", "conv2d_7b."},
                   {R"(^fc\.)", classifier + '.'}});
}

std::string cadene_bninception(const std::string& ours) {
  if (ours.starts_with("fc.")) return "last_linear." + ours.substr(3);
  const auto unit = [&](const std::string& name, const std::string& rest) {
    return rest.starts_with("bn.") ? name + "_bn" + rest.substr(2) : name + rest.substr(4);
  };
  for (const auto& [here, there] : {std::pair<std::string, std::string>{"conv1.", "conv1_7x7_s2"},
                                    {"reduce2.", "conv2_3x3_reduce"},
                                    {"conv2.", "conv2_3x3"}})
    if (ours.starts_with(here)) return unit(there, ours.substr(here.size()));
  static const std::regex form(R"(inception(\w\w)\.branches\.(\d)\.(\d)\.(.*))");
  std::smatch match;
  if (!std::regex_match(ours, match, form)) return ours;
  static const std::vector<std::vector<std::string>> names = {
      {"1x1"},
      {"3x3_reduce", "3x3"},
      {"double_3x3_reduce", "double_3x3_1", "double_3x3_2"},
      {"", "pool_proj"}};
  const std::string module = match[1];
  std::size_t branch = std::stoul(match[2]);
  if (module == "3c" || module == "4e") ++branch;  // without a branch of 1x1
  const std::size_t place = std::stoul(match[3]);
  if (branch >= names.size() || place >= names[branch].size()) return ours;
  return unit("inception_" + module + '_' + names[branch][place], match[4]);
}

const Normalization imagenet{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
const Normalization halves{{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
/// What most CIFAR-10 scripts have; the deviations are means of those of single images.
const Normalization cifar10{{0.4914, 0.4822, 0.4465}, {0.2023, 0.1994, 0.2010}};
const Normalization caffe_inception{{128 / 255.0, 117 / 255.0, 104 / 255.0},
                                    {1 / 255.0, 1 / 255.0, 1 / 255.0}};

constexpr const char* wordnet = "ImageNet's, sorted by WordNet number";
constexpr const char* cifar_classes = "CIFAR's own";

nn::ModelOptions torch_options(bool se) {
  nn::ModelOptions o;
  o.pool = "padded";
  o.se.enabled = se;
  return o;
}

std::vector<Source> table() {
  std::vector<Source> out;
  const auto add = [&](std::string name, std::string model, nn::ModelOptions options, Naming naming,
                       std::optional<Normalization> normalization, const char* classes) {
    out.push_back({std::move(name), std::move(model), std::move(options), std::move(naming),
                   std::move(normalization), classes, ""});
  };
  const auto cannot = [&](std::string name, std::string why) {
    out.push_back({std::move(name), "", {}, {}, std::nullopt, "", std::move(why)});
  };
  const auto named = [](const Rules& rules, bool gates_as_convolutions = false) {
    return Naming{.rename = renaming(rules), .gates_as_convolutions = gates_as_convolutions};
  };
  const auto bottlenecks = [](int depth) { return depth >= 50; };
  const auto torch_resnet = [&](int depth, bool se) {
    nn::ModelOptions o = torch_options(se);
    if (bottlenecks(depth)) o.stride_on = "3x3";
    return o;
  };

  for (const std::string library : {"torchvision", "timm"}) {
    for (const int depth : {18, 34, 50, 101, 152}) {
      const std::string name = "resnet" + std::to_string(depth);
      add(library + '/' + name, name, torch_resnet(depth, false), named(torchvision_rules),
          imagenet, wordnet);
    }
    add(library + "/resnext50_32x4d", "resnext50_32x4d", torch_options(false),
        named(torchvision_rules), imagenet, wordnet);
    if (library == "timm")
      add("timm/resnext101_32x4d", "resnext101_32x4d", torch_options(false),
          named(torchvision_rules), imagenet, wordnet);
  }
  for (const int depth : {18, 34, 50, 101, 152}) {
    nn::ModelOptions o = torch_resnet(depth, true);
    if (!bottlenecks(depth)) o.se.divisor = 8;
    add("timm/seresnet" + std::to_string(depth), "se_resnet" + std::to_string(depth), o,
        named(torchvision_rules + se_timm, true), imagenet, wordnet);
  }
  for (const std::string depth : {"50", "101"})
    add("timm/seresnext" + depth + "_32x4d", "se_resnext" + depth + "_32x4d", torch_options(true),
        named(torchvision_rules + se_timm, true), imagenet, wordnet);
  add("timm/senet154", "senet154", torch_options(true),
      named(torchvision_rules + se_timm + stem_deep, true), imagenet, wordnet);

  const Rules caffe = torchvision_rules + se_cadene + stem_cadene;
  nn::ModelOptions caffe_se;
  caffe_se.se.enabled = true;
  for (const int depth : {18, 34}) {
    nn::ModelOptions o = caffe_se;
    o.se.input_relu = true;
    add("timm/legacy_seresnet" + std::to_string(depth), "se_resnet" + std::to_string(depth), o,
        named(caffe, true), imagenet, wordnet);
  }
  for (const auto& [library, resnet, resnext, senet] :
       {std::array<std::string, 4>{"timm", "legacy_seresnet", "legacy_seresnext",
                                   "legacy_senet154"},
        {"cadene", "se_resnet", "se_resnext", "senet154"}}) {
    for (const std::string depth : {"50", "101", "152"})
      add(library + '/' + resnet + depth, "se_resnet" + depth, caffe_se, named(caffe, true),
          imagenet, wordnet);
    for (const std::string depth : {"50", "101"})
      add(library + '/' + resnext + depth + "_32x4d", "se_resnext" + depth + "_32x4d", caffe_se,
          named(caffe, true), imagenet, wordnet);
    add(library + '/' + senet, "senet154", caffe_se, named(caffe, true), imagenet, wordnet);
  }
  for (const int depth : {18, 34, 50, 101, 152}) {
    nn::ModelOptions o = torch_resnet(depth, true);
    o.se.bias = false;
    add("moskomule/se_resnet" + std::to_string(depth), "se_resnet" + std::to_string(depth), o,
        named(torchvision_rules + se_moskomule), imagenet, wordnet);
  }

  add("torchvision/vgg16_bn", "vgg16_bn", {},
      {.rename = torchvision_vgg, .convolution_biases = true}, imagenet, wordnet);
  add("timm/vgg16_bn", "vgg16_bn", {},
      {.rename = timm_vgg, .convolution_biases = true, .dense_as_convolutions = true}, imagenet,
      wordnet);
  add("timm/mobilenetv1_100", "mobilenet", {}, {.rename = timm_mobilenet}, halves, wordnet);
  add("timm/inception_resnet_v2", "inception_resnet_v2", {},
      {.rename = inception_resnet("classif")}, halves, wordnet);
  add("cadene/inceptionresnetv2", "inception_resnet_v2", {},
      {.rename = inception_resnet("last_linear")}, halves, wordnet);
  add("cadene/bninception", "bn_inception", {},
      {.rename = cadene_bninception, .flipped_input = true, .convolution_biases = true},
      caffe_inception, wordnet);

  nn::ModelOptions cifar_se;
  cifar_se.se.enabled = true;
  cifar_se.se.bias = false;
  nn::ModelOptions option_a;
  option_a.shortcut = "zero_pad";
  for (const int depth : {20, 32, 44, 56, 110}) {
    const std::string name = "resnet" + std::to_string(depth);
    add("akamaster/" + name, name, option_a, named(akamaster_rules), imagenet, cifar_classes);
    add("kuangliu-style/" + name, name, {}, named(akamaster_rules), cifar10, cifar_classes);
    add("chenyaofo/cifar_" + name, name, {}, named(torchvision_rules), std::nullopt, cifar_classes);
    add("moskomule/se_" + name, "se_" + name, cifar_se, named(torchvision_rules + se_moskomule),
        std::nullopt, cifar_classes);
  }

  cannot("kuangliu/MobileNet", "its first convolution has stride 1, MobileNet's here 2");
  for (const char* name :
       {"ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", "PreActResNet18", "SENet18"})
    cannot(std::string("kuangliu/") + name,
           "a network for CIFAR with 64 channels in four stages; those here have 16 in three");
  cannot("kuangliu/VGG16", "VGG for CIFAR without hidden layers; vgg16_bn here is the paper's");
  for (const char* name : {"resnet18", "resnet50", "seresnet18", "seresnet50", "preactresnet18"})
    cannot(std::string("weiaicunzai/") + name,
           "a network for CIFAR with 64 channels in four stages, its SE units behind a ReLU and "
           "with biased convolutions");
  cannot("weiaicunzai/shufflenet",
         "it groups the first 1x1 convolution, and its stem does not stride");
  cannot("weiaicunzai/mobilenet",
         "its first convolution has stride 1, and convolutions have biases");
  cannot("weiaicunzai/wideresnet",
         "its blocks begin with another order of norms; rules of your own may do");
  cannot("weiaicunzai/vgg16_bn",
         "it is torchvision/vgg16_bn for images of 32 pixels; import it as that, of this size");
  cannot("torchvision/shufflenet_v2_x1_0", "ShuffleNet v2; v1 is here");
  cannot("timm/ecaresnet50d", "a deep stem and pooled shortcuts (ResNet-D)");
  return out;
}

}  // namespace

const std::vector<Source>& sources() {
  static const std::vector<Source> all = table();
  return all;
}

const Source& source(std::string_view name) {
  std::vector<std::string> names;
  for (const Source& s : sources()) {
    if (s.name == name) {
      check(s.cannot.empty(), "weights: ", name, " cannot be had here: ", s.cannot);
      return s;
    }
    names.push_back(s.name);
  }
  const std::string meant = did_you_mean(std::string(name), names);
  fail("weights: no source \"", shortened(name, 100), '"',
       meant.empty() ? "; known are " + listed(names) : meant);
}

Source own_source(std::string model, nn::ModelOptions options) {
  return {"exciton",
          std::move(model),
          std::move(options),
          {.rename = [](const std::string& ours) { return ours; }},
          std::nullopt,
          "",
          ""};
}

Naming read_rules(const std::filesystem::path& path) {
  const std::string who = "rules: " + path.string();
  constexpr std::uint64_t most = 1 << 20;
  const auto json = nlohmann::json::parse(read_text(path, who, most), nullptr, false);
  check(json.is_object(), who, ": no JSON object");
  Naming out;
  Rules rules;
  for (const auto& item : json.items()) {
    const std::string& key = item.key();
    const auto& value = item.value();
    const auto flag = [&](bool& to) {
      check(value.is_boolean(), who, ": ", key, ": expected true or false");
      to = value.get<bool>();
    };
    if (key == "rename") {
      check(value.is_array(), who, ": rename: expected a list of [expression, replacement]");
      for (const auto& rule : value) {
        check(rule.is_array() && rule.size() == 2 && rule[0].is_string() && rule[1].is_string(),
              who, ": rename: expected a list of [expression, replacement]");
        rules.emplace_back(rule[0].get<std::string>(), rule[1].get<std::string>());
        try {
          static_cast<void>(std::regex(rules.back().first));
        } catch (const std::regex_error& error) {
          fail(who, ": rename: \"", shortened(rules.back().first, 100),
               "\" is no regular expression: ", error.what());
        }
      }
    } else if (key == "gates_as_convolutions") {
      flag(out.gates_as_convolutions);
    } else if (key == "flipped_input") {
      flag(out.flipped_input);
    } else if (key == "convolution_biases") {
      flag(out.convolution_biases);
    } else {
      fail(who, ": unknown key ", shortened(key, 60),
           "; known are rename, gates_as_convolutions, flipped_input, convolution_biases");
    }
  }
  out.rename = renaming(rules);
  return out;
}

std::string options_text(const nn::ModelOptions& o) {
  const nn::ModelOptions none;
  std::string out;
  const auto put = [&out](const char* key, const auto& value, const auto& usual) {
    if (value == usual) return;
    std::ostringstream text;
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
      for (std::size_t i = 0; i < value.size(); ++i) text << (i > 0 ? ", " : "[") << value[i];
      text << (value.empty() ? "[]" : "]");
    } else {
      text << std::boolalpha << value;
    }
    out += (out.empty() ? "" : " ") + std::string(key) + '=' + text.str();
  };
  put("pool", o.pool, none.pool);
  put("stride_on", o.stride_on, none.stride_on);
  put("shortcut", o.shortcut, none.shortcut);
  put("stem", o.stem, none.stem);
  put("blocks", o.blocks, none.blocks);
  put("widths", o.widths, none.widths);
  put("se.kind", o.se.kind, none.se.kind);
  put("se.reduction", o.se.reduction, none.se.reduction);
  put("se.stage_reductions", o.se.stage_reductions, none.se.stage_reductions);
  put("se.min_width", o.se.min_width, none.se.min_width);
  put("se.divisor", o.se.divisor, none.se.divisor);
  put("se.bias", o.se.bias, none.se.bias);
  put("se.squeeze", o.se.squeeze, none.se.squeeze);
  put("se.gate", o.se.gate, none.se.gate);
  put("se.input_relu", o.se.input_relu, none.se.input_relu);
  put("se.placement", o.se.placement, none.se.placement);
  put("se.stages", o.se.stages, none.se.stages);
  return out;
}

}  // namespace exciton::interop
