#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "sightline/config/config.h"

namespace sightline::config {

// The vocabulary of the one table (table.h) from which parsing, bounds, JSON Schema, the documentation page and
// `config show` come.
enum class ValueType : std::uint8_t {
  kText,        // any text
  kExpression,  // a SQL expression; checked when the plan is compiled
  kName,        // a name: letters, digits, _
  kTopic,       // a topic's name: letters, digits, . _ -
  kNames,       // a list of names
  kPath,        // relative to the file
  kPathOrUrl,   // the same, or "objects:KEY", "s3://BUCKET/KEY" …
  kInteger,
  kDuration,       // with a unit
  kBytes,          // with a unit
  kEndpoint,       // host:port
  kEndpoints,      // a list of them
  kChoice,         // one of `choices`
  kChoices,        // a list of them
  kSecret,         // {env: NAME}, {file: path} or {credential: NAME}
  kExpressions,    // a map, name to expression, in order
  kDependencies,   // a map, name to names
  kSection,        // a map with `section`'s properties
  kNamedSections,  // a map, name to a section
  kSections,       // a list of sections
  kSteps,          // a list of steps
};

struct ByteCount {
  std::uint64_t value = 0;
};
struct Choice {
  std::size_t index = 0;
};
using NamedTexts = std::vector<std::pair<std::string, std::string>>;
using Dependencies = std::vector<std::pair<std::string, std::vector<std::string>>>;
using Value = std::variant<std::monostate, std::string, std::int64_t, std::chrono::milliseconds, ByteCount, Choice, Endpoint, Secret,
                           std::vector<std::string>, NamedTexts, Dependencies>;

// How a property reaches its field in the object of its section. Objects are passed untyped, so that one reader serves
// every section; Bind makes the typed ends.
struct Access {
  void (*set)(void* object, Value value) = nullptr;
  Value (*get)(const void* object) = nullptr;                      // monostate: an optional that is not set
  void* (*open)(void* object) = nullptr;  // kSection: the inner object, made when optional; lists: a new element
  const void* (*at)(const void* object, std::size_t i) = nullptr;  // the i-th inner object, or null past the end
  void (*name)(void* element, std::string name, const SourcePlace& place) = nullptr;  // kNamedSections
  const std::string& (*name_of)(const void* element) = nullptr;
};

struct Section;

struct Property {
  std::string_view name;
  ValueType type = ValueType::kText;
  std::string_view default_text = {};  // as it would stand in the file
  std::string_view help = {};
  std::string_view example = {};
  std::int64_t min = 0;  // of integers, of durations in ms, of bytes
  std::int64_t max = 0;  // 0: no bounds
  std::span<const std::string_view> choices = {};
  std::span<const std::string_view> later = {};  // choices that this build does not have
  bool required = false;
  bool restart = true;  // a change needs a restart
  // Not empty: this build knows the word and cannot do it; the sentence says why and what to do instead.
  std::string_view unavailable = {};
  Access access = {};
  const Section* section = nullptr;

  bool secret() const { return type == ValueType::kSecret; }
  bool nested() const { return type >= ValueType::kSection; }
};

// A map of settings with a fixed set of names.
struct Section {
  std::string_view name;  // for messages: "a dataset"
  std::string_view help;
  std::span<const Property> properties;
  // Takes the names that `properties` does not hold (an aggregate's columns); null: unknown names are mistakes.
  const Property* rest = nullptr;

  const Property* Find(std::string_view property) const {
    for (const Property& p : properties) {
      if (p.name == property) return &p;
    }
    return nullptr;
  }
};

namespace internal {

template <typename T>
struct Unwrapped {
  using type = T;
  static constexpr bool optional = false;
};
template <typename T>
struct Unwrapped<std::optional<T>> {
  using type = T;
  static constexpr bool optional = true;
};
template <typename T>
concept Vector = requires(T t) { t.emplace_back(); } && !std::same_as<T, std::string>;

template <typename F>
F FromValue(Value&& value) {
  if constexpr (std::is_enum_v<F>) {
    return static_cast<F>(std::get<Choice>(value).index);  // choices stand in the order of the enumeration
  } else if constexpr (std::is_integral_v<F>) {
    if (auto* bytes = std::get_if<ByteCount>(&value)) return static_cast<F>(bytes->value);
    return static_cast<F>(std::get<std::int64_t>(value));
  } else {
    return std::get<F>(std::move(value));
  }
}
template <typename F>
Value ToValue(const F& field, ValueType type) {
  if constexpr (std::is_enum_v<F>) {
    return Choice{static_cast<std::size_t>(field)};
  } else if constexpr (std::is_integral_v<F>) {
    if (type == ValueType::kBytes) return ByteCount{static_cast<std::uint64_t>(field)};
    return static_cast<std::int64_t>(field);
  } else {
    return Value(field);
  }
}

}  // namespace internal

// Bind<&Struct::field, ValueType::…>(): the access of a scalar property.
template <auto Member, ValueType Type>
struct Bound;
template <typename T, typename F, F T::* Member, ValueType Type>
struct Bound<Member, Type> {
  using Field = typename internal::Unwrapped<F>::type;
  static void Set(void* object, Value value) { static_cast<T*>(object)->*Member = internal::FromValue<Field>(std::move(value)); }
  static Value Get(const void* object) {
    const F& field = static_cast<const T*>(object)->*Member;
    if constexpr (internal::Unwrapped<F>::optional) {
      if (!field) return {};
      return internal::ToValue(*field, Type);
    } else {
      return internal::ToValue(field, Type);
    }
  }
};
template <auto Member, ValueType Type>
constexpr Access Bind() {
  return {.set = &Bound<Member, Type>::Set, .get = &Bound<Member, Type>::Get};
}

template <auto Member>
struct Nested;
template <typename T, typename F, F T::* Member>
struct Nested<Member> {
  static void* Open(void* object) {
    F& field = static_cast<T*>(object)->*Member;
    if constexpr (internal::Unwrapped<F>::optional) {
      return &field.emplace();
    } else if constexpr (internal::Vector<F>) {
      return &field.emplace_back();
    } else {
      return &field;
    }
  }
  static const void* At(const void* object, std::size_t i) {
    const F& field = static_cast<const T*>(object)->*Member;
    if constexpr (internal::Unwrapped<F>::optional) {
      return i == 0 && field ? &*field : nullptr;
    } else if constexpr (internal::Vector<F>) {
      return i < field.size() ? &field[i] : nullptr;
    } else {
      return i == 0 ? &field : nullptr;
    }
  }
};
// The access of a section, an optional section or a list of sections.
template <auto Member>
constexpr Access BindSection() {
  return {.open = &Nested<Member>::Open, .at = &Nested<Member>::At};
}
template <typename Element>
struct Named {
  static void Name(void* element, std::string name, const SourcePlace& place) {
    static_cast<Element*>(element)->name = std::move(name);
    if constexpr (requires(Element e) { e.place = place; }) static_cast<Element*>(element)->place = place;
  }
  static const std::string& NameOf(const void* element) { return static_cast<const Element*>(element)->name; }
};
// The access of a map of named sections.
template <auto Member, typename Element>
constexpr Access BindNamed() {
  return {.open = &Nested<Member>::Open, .at = &Nested<Member>::At, .name = &Named<Element>::Name, .name_of = &Named<Element>::NameOf};
}

}  // namespace sightline::config
