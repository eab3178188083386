// DotProducts: y[n,o] = act(sum_k x[n,k] w[o,k] + add[n,o] + bias[o]), both operands as they are.
//
// Product k is summed in lane k % width, the lanes last: an element's bits depend on its row and
// column alone, not on threads or on how many rows there are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm_types.h"

namespace graphc {

// Rows of `w` lie `depth` apart. Null: no bias, nothing added. y may be `add`.
struct DotProductsRun {
    const float* x;
    std::int64_t x_row;
    const float* w;
    const float* bias;
    const float* add;
    std::int64_t add_row;
    float* y;
    std::int64_t y_row;
    char* workspace;
    int threads;
    Activation activation = Activation::none;
    float slope = 0;
};

class DotProducts {
  public:
    DotProducts(std::int64_t rows, std::int64_t outputs, std::int64_t depth, int threads);

    std::size_t workspace() const { return own_bytes_ * std::size_t(threads_); }
    void run(const DotProductsRun& run) const;

  private:
    void run_block(const DotProductsRun& run, std::int64_t first_row, std::int64_t first_output,
                   float* partial) const;

    const GemmLoops& loops_;
    std::int64_t rows_, outputs_, depth_;
    std::int64_t block_rows_, block_outputs_, chunk_;
    std::size_t own_bytes_;
    int threads_;
};

}  // namespace graphc
