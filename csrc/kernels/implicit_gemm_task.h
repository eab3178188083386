// Parts of an ImplicitGemm's work, for the files that do it.
#pragma once

#include "kernels/implicit_gemm.h"

namespace graphc {

// Columns count through the windows of all images; those of one task with windows in lanes lie in
// one image. Panels, pieces and sums are the thread's own.
struct ImplicitGemm::Task {
    std::int64_t group;
    std::int64_t column, columns;
    std::int64_t output, outputs;
    float* panels;
    Piece* pieces;
    float* sums;
    WindowRun* runs;
};

// Columns that are gathered side by side: `row` floats for each product, from `at` on.
struct ImplicitGemm::Strip {
    std::int64_t column, columns, row, at;
    int vectors;
};

}  // namespace graphc
