#include "sightline/governance/pattern.h"

#include <re2/re2.h>

#include <string>

namespace sightline::governance {

struct Pattern::Impl {
  re2::RE2 expression;
};

Pattern::Pattern(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

Result<Pattern> Pattern::Compile(std::string_view expression) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto impl = std::unique_ptr<Impl>(new Impl{re2::RE2(re2::StringPiece(expression.data(), expression.size()), options)});
  if (!impl->expression.ok()) {
    return Fail(ErrorKind::kInvalidArgument, impl->expression.error() + " (patterns follow RE2: no back references, no look-around)");
  }
  return Pattern(std::move(impl));
}

bool Pattern::Matches(std::string_view utf8) const {
  return re2::RE2::FullMatch(re2::StringPiece(utf8.data(), utf8.size()), impl_->expression);
}

}  // namespace sightline::governance
