// MatrixProduct: c[i,j] = sum_k a[i,k] b[k,j], or c plus that, of matrices as they lie in memory,
// the columns of b side by side.
//
// a is packed as a whole, b block by block. An element is summed over k in order, in blocks of a
// length that depends on the depth only: neither threads nor other rows change a bit of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/slivers.h"

namespace graphc {

// a[i,k] lies at a + i * a_row + k * a_column, b[k,j] at b + k * b_row + j, c alike.
struct MatrixProductRun {
    const float* a;
    std::int64_t a_row, a_column;
    const float* b;
    std::int64_t b_row;
    float* c;
    std::int64_t c_row;
    bool adds;  // to what c holds
    char* workspace;
    int threads;
};

class MatrixProduct {
  public:
    MatrixProduct(std::int64_t rows, std::int64_t columns, std::int64_t depth, int threads);

    std::size_t workspace() const { return a_bytes_ + b_bytes_ * std::size_t(threads_); }
    void run(const MatrixProductRun& run) const;

  private:
    // Columns first .. stop-1 of c by slivers low .. high-1 of its rows.
    struct Task {
        std::int64_t first, stop, low, high;
    };

    std::int64_t depth_blocks() const;
    DepthBlock depth_block(std::int64_t i) const;
    void pack_a(const MatrixProductRun& run, float* to) const;
    void pack_b(const MatrixProductRun& run, const DepthBlock& block, const Task& task,
                float* to) const;
    void multiply(const MatrixProductRun& run, const DepthBlock& block, const Task& task,
                  const float* a, const float* b) const;

    const GemmLoops& loops_;
    Slivers slivers_;
    std::int64_t rows_, columns_, depth_;
    int threads_;
    std::int64_t column_blocks_ = 1, row_parts_ = 1;
    std::size_t a_bytes_ = 0, b_bytes_ = 0;  // of the workspace; b's for each thread
};

}  // namespace graphc
