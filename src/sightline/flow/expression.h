#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"

namespace sightline::flow {

// One expression of the documented subset of SQL (docs/expressions.md), compiled against a schema: used by `where` and `derive`.
// Three-valued logic; integer overflow and division by zero give null. Immutable, thread-safe.
class Expression {
 public:
  // kInvalidArgument names the column of the text, what was found and what was probably meant.
  static Result<Expression> Parse(std::string_view text, const Schema& schema);

  FieldType type() const;
  bool nullable() const;
  // Evaluates for rows [0, batch.rows) of a batch with the schema given to Parse. Strings made on the way live in the
  // batch's arena. `into` is overwritten.
  void Evaluate(ColumnBatch& batch, Column& into) const;
  // The text in canonical form (spacing, case of keywords, parentheses): equal expressions give equal plans.
  const std::string& canonical() const;

  // The checked tree (expression_tree.h), for those who write the expression in another engine's language.
  struct Node;
  const Node& root() const { return *root_; }

 private:
  std::shared_ptr<const Node> root_;
  std::string canonical_;
};

}  // namespace sightline::flow
