#include "exciton/train/kernel_file.hpp"

#include <regex>

#include "exciton/core/error.hpp"

namespace exciton::train {
namespace {

/// As ops::form_name writes it: a misspelt form would be nobody's.
bool is_form(const std::string& text) {
  static const std::regex form(
      "(forward|data gradient|weight gradient) (f32|bf16) [0-9]+x[0-9]+ [0-9]+ to [0-9]+ on "
      "[0-9]+x[0-9]+(, padding [0-9]+(x[0-9]+)?)?(, stride [0-9]+)?(, dilation [0-9]+)?"
      "(, [0-9]+ groups)?(, rounded products( 4x4)?)?");
  constexpr std::size_t longest = 200;  // regular expressions recurse
  return text.size() <= longest && std::regex_match(text, form);
}

}  // namespace

Json to_json(const ops::KernelChoices& choices) {
  Json out = Json::object();
  for (const auto& [form, kernel] : choices) out[form] = ops::name_of(kernel);
  return out;
}

ops::KernelChoices kernel_choices_from(const Json& json, const std::string& who) {
  check(json.is_object(), who, ": kernels must be an object of forms and kernels, got ",
        shown(json));
  ops::KernelChoices out;
  for (const auto& [form, kernel] : json.items()) {
    check(is_form(form), who, ": \"", form,
          "\" is no form of a convolution; expected one like \"forward f32 3x3 64 to 64 on 56x56, "
          "padding 1\"");
    check(kernel.is_string(), who, ": ", form, ": expected the name of a kernel, got ",
          shown(kernel));
    try {
      out[form] = ops::conv_kernel(kernel.get<std::string>());
    } catch (const Error& error) {
      fail(who, ": ", form, ": ", error.what());
    }
  }
  return out;
}

KernelFile read_kernel_file(const std::filesystem::path& path) {
  const Json json = read_json(path);
  const std::string who = "kernels: " + path.string();
  check(json.is_object(), who, ": expected an object with \"processor\" and \"kernels\", got ",
        shown(json));
  check(json.contains("kernels"), who,
        ": there is no \"kernels\" in it; `exciton tune` writes such files");
  return {value_at<std::string>(json, "processor", who), kernel_choices_from(json["kernels"], who)};
}

}  // namespace exciton::train
