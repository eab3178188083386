// Matrix: an operand of an inner product as one, its axes before attribute axis by the others.
#pragma once

#include "core/kernel.h"
#include "kernels/spatial_options.h"

namespace graphc {

struct Matrix {
    std::int64_t rows, columns;

    Matrix(const Problem& problem, const Spec& spec, const char* what) {
        const std::int64_t axis = problem.attrs.integer("axis");
        require(axis >= 0 && axis <= spec.rank, what);
        rows = spec.count(0, int(axis));
        columns = spec.count(int(axis), spec.rank);
        require_flat(spec, rows * columns, what);
    }
};

}  // namespace graphc
