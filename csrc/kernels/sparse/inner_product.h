// What inner products with sparse weights share.
#pragma once

#include <algorithm>

#include "core/kernel.h"
#include "kernels/sparse/types.h"
#include "kernels/spatial_options.h"

namespace graphc::sparse {

// Operands: x (n..., k...), packed weight, bias if attribute bias, residual if attribute residual;
// y (n..., o...). Attributes: batch, depth, outputs, transpose (is the weight (K, O)?), stored, how
// many weights the packed one has room for (0: for all), and those of ActivationOptions. Throws
// Error (GC-A001) for what contradicts.
struct ProductTold {
    ActivationOptions act;
    std::int64_t batch, depth, outputs, stored;
    bool has_bias, has_residual, is_transposed;

    explicit ProductTold(const Attrs& attrs);

    std::int64_t weights() const { return outputs * depth; }
    std::int64_t room() const { return stored ? std::min(stored, weights()) : weights(); }
    // Weight o, k in the layer's own order.
    float weight(const float* all, std::int64_t o, std::int64_t k) const {
        return is_transposed ? all[k * outputs + o] : all[o * depth + k];
    }
    void check(const Problem& problem, std::int64_t packed) const;
    // Takes sums of outputs first ... of a row of x to where they belong.
    void place(const Run& run, const Loops& loops, std::int64_t row, std::int64_t first,
               std::int64_t count, const float* sums) const;
};

}  // namespace graphc::sparse
