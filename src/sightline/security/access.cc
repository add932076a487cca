#include "sightline/security/access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace sightline::security {
namespace {

std::int64_t Ns(std::chrono::milliseconds ms) { return std::chrono::nanoseconds(ms).count(); }

// Bounds what strangers can make us remember.
constexpr std::size_t kAddressesMax = 10'000;
constexpr std::size_t kCodesMax = 1'000;

Principal AdminPrincipal() { return Principal{"admin", Permissions::All(), std::nullopt}; }

// Closes on the way out.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Access::Access(const runtime::Clock& clock, std::string_view admin_token, AccessOptions options)
    : clock_(clock), options_(std::move(options)), tokens_(options_.tokens) {
  tokens_.push_back({SecretDigest::Of(admin_token), AdminPrincipal()});
}

Status Access::Refused(std::string_view address) {
  const auto found = failures_.find(std::string(address));
  if (found == failures_.end()) return {};
  const std::int64_t age = clock_.MonotonicNs() - found->second.since_ns;
  if (age >= Ns(options_.failure_period)) {
    failures_.erase(found);
    return {};
  }
  if (found->second.count < options_.failures_max) return {};
  return Fail(ErrorKind::kResourceExhausted, "too many failed sign-ins from this address; try again in a minute");
}

void Access::NoteFailure(std::string_view address) {
  const std::int64_t now = clock_.MonotonicNs();
  if (failures_.size() >= kAddressesMax) {
    std::erase_if(failures_, [&](const auto& f) { return now - f.second.since_ns >= Ns(options_.failure_period); });
    if (failures_.size() >= kAddressesMax) failures_.erase(failures_.begin());
  }
  auto& failures = failures_[std::string(address)];
  if (failures.count++ == 0) failures.since_ns = now;
}

Result<Principal> Access::FromToken(std::string_view token, std::string_view address) {
  const SecretDigest digest = SecretDigest::Of(token);
  const ConfiguredToken* match = nullptr;
  // Every token is compared, so that the time does not say which came near.
  for (const auto& known : tokens_) {
    if (SameSecret(known.digest, digest)) match = &known;
  }
  // A right token works even from an address that failed before: nobody can lock others out behind a shared address.
  if (match != nullptr) return match->principal;
  const std::lock_guard lock(mutex_);
  SL_TRY(Refused(address));
  NoteFailure(address);
  return Fail(ErrorKind::kUnauthenticated,
              "the token is not known here; the admin token of this server is in admin.token in its data directory");
}

std::optional<Principal> Access::FromSession(std::string_view session) {
  const std::string digest = SecretDigest::Of(session).ToString();
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(digest);
  if (found == sessions_.end()) return std::nullopt;
  if (clock_.MonotonicNs() >= found->second.expires_ns) {
    sessions_.erase(found);
    return std::nullopt;
  }
  return found->second.principal;
}

Result<std::string> Access::MakeCode() {
  SL_ASSIGN_OR_RETURN(std::string code, MakeSecret());
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.MonotonicNs();
  DropExpired(now);
  if (codes_.size() >= kCodesMax) return Fail(ErrorKind::kResourceExhausted, "too many unused sign-in codes; wait five minutes");
  codes_.emplace(SecretDigest::Of(code).ToString(), now + Ns(options_.code_lifetime));
  return code;
}

Result<Principal> Access::FromCode(std::string_view code, std::string_view address) {
  const std::string digest = SecretDigest::Of(code).ToString();
  const std::lock_guard lock(mutex_);
  const auto found = codes_.find(digest);
  if (found != codes_.end()) {
    const bool valid = clock_.MonotonicNs() < found->second;
    codes_.erase(found);
    if (valid) return AdminPrincipal();
  }
  SL_TRY(Refused(address));
  NoteFailure(address);
  return Fail(ErrorKind::kUnauthenticated,
              "this sign-in link has been used or is older than five minutes; ask for a new one, or sign in with a token");
}

Result<std::string> Access::OpenSession(const Principal& principal) {
  SL_ASSIGN_OR_RETURN(std::string secret, MakeSecret());
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.MonotonicNs();
  if (sessions_.size() >= options_.sessions_max) DropExpired(now);
  if (sessions_.size() >= options_.sessions_max) {
    return Fail(ErrorKind::kResourceExhausted, "too many people are signed in; try again later");
  }
  sessions_.emplace(SecretDigest::Of(secret).ToString(), Session{principal, now + Ns(options_.session_lifetime)});
  return secret;
}

void Access::CloseSession(std::string_view session) {
  const std::string digest = SecretDigest::Of(session).ToString();
  const std::lock_guard lock(mutex_);
  sessions_.erase(digest);
}

void Access::DropExpired(std::int64_t now_ns) {
  std::erase_if(sessions_, [&](const auto& s) { return now_ns >= s.second.expires_ns; });
  std::erase_if(codes_, [&](const auto& c) { return now_ns >= c.second; });
}

Result<std::string> LoadOrMakeAdminToken(const std::string& directory) {
  const std::string path = directory + "/admin.token";
  SL_ASSIGN_OR_RETURN(const std::string secret, MakeSecret());
  // The mode must be right from the first moment, which the runtime's file system cannot say; this file is not part of what
  // is simulated.
  const Descriptor made{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR)};
  if (made.fd >= 0) {
    const std::string line = secret + "\n";
    if (::write(made.fd, line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fsync(made.fd) != 0) {
      const int error = errno;
      ::unlink(path.c_str());
      return FailErrno("cannot write the admin token " + path, error);
    }
    return secret;
  }
  if (errno != EEXIST) return FailErrno("cannot make the admin token " + path, errno);
  const Descriptor there{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (there.fd < 0) return FailErrno("cannot read the admin token " + path, errno);
  struct stat info{};
  if (::fstat(there.fd, &info) != 0) return FailErrno("cannot read the admin token " + path, errno);
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Fail(ErrorKind::kPermissionDenied,
                path + " can be read by others; take their rights with: chmod 600 " + path + " (or delete it for a new token)");
  }
  std::array<char, 256> bytes{};
  const ssize_t size = ::read(there.fd, bytes.data(), bytes.size());
  if (size < 0) return FailErrno("cannot read the admin token " + path, errno);
  std::string_view token(bytes.data(), static_cast<std::size_t>(size));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.remove_suffix(1);
  if (token.size() < 32) {
    return Fail(ErrorKind::kFailedPrecondition, path + " holds no token of 32 characters or more; delete it for a new one");
  }
  return std::string(token);
}

std::string_view FindCookie(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    const auto end = std::min(header.find(';'), header.size());
    std::string_view pair = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (!pair.empty() && (pair.front() == ' ' || pair.front() == '\t')) pair.remove_prefix(1);
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    std::string_view value = pair.substr(equals + 1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    return value;
  }
  return {};
}

bool IsSameOrigin(std::string_view origin, std::string_view host, bool tls) {
  const std::string_view scheme = tls ? "https://" : "http://";
  if (host.empty() || !origin.starts_with(scheme)) return false;
  origin.remove_prefix(scheme.size());
  // Browsers leave the default port out of Origin, and write host names in lower case in both.
  const auto without_default_port = [&](std::string_view h) {
    const std::string_view port = tls ? ":443" : ":80";
    if (h.ends_with(port)) h.remove_suffix(port.size());
    return h;
  };
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(without_default_port(origin), without_default_port(host), {}, lower, lower);
}

}  // namespace sightline::security
