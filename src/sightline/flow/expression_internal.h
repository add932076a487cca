#pragma once

#include <string>

#include "sightline/flow/expression_tree.h"

namespace sightline::flow {

// Evaluates a tree over all rows of the batch.
void EvaluateNode(const Expression::Node& node, ColumnBatch& batch, Column& into);
// Deterministic text of a tree.
std::string CanonicalText(const Expression::Node& node, const Schema& schema);

}  // namespace sightline::flow
