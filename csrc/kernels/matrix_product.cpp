#include "kernels/matrix_product.h"

#include <algorithm>
#include <cstring>

#include "kernels/parallel.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kDepth = 64;      // products of a block at most
constexpr std::int64_t kColumns = 1024;  // a block of b fills a quarter of a small L2 cache
constexpr std::int64_t kAhead = 4;       // rows of b, which lie too far apart to be guessed

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::size_t line_bytes(std::int64_t floats) {
    return std::size_t(ceil_div(floats, 16) * 16) * sizeof(float);
}

void fetch(const float* from) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(from);
#else
    (void)from;
#endif
}

}  // namespace

MatrixProduct::MatrixProduct(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                             int threads)
    : loops_(chosen_loops()),
      slivers_(rows, loops_),
      rows_(rows),
      columns_(columns),
      depth_(depth),
      threads_(
          threads_for(0.02 * double(rows + 8) * double(columns) * double(depth + 8), threads)) {
    const std::int64_t panel = kTileVectors * loops_.width;
    const std::int64_t panels = std::max<std::int64_t>(1, ceil_div(columns_, panel));
    column_blocks_ = ceil_div(panels, kColumns / panel);
    // As many blocks as threads can share out evenly; of few columns, rows are dealt out as well.
    const std::int64_t wanted = ceil_div(column_blocks_, threads_) * threads_;
    column_blocks_ = std::min(panels, wanted);
    if (column_blocks_ < threads_) {
        row_parts_ = std::clamp<std::int64_t>(ceil_div(threads_, column_blocks_), 1,
                                              std::max<std::int64_t>(1, slivers_.count()));
    }
    a_bytes_ = line_bytes(rows_ * depth_);
    const std::int64_t most = ceil_div(panels, column_blocks_) * panel;
    b_bytes_ = line_bytes(most * std::min(depth_, kDepth));
}

std::int64_t MatrixProduct::depth_blocks() const { return ceil_div(depth_, kDepth); }

DepthBlock MatrixProduct::depth_block(std::int64_t i) const {
    const std::int64_t count = depth_blocks();
    return {depth_ * i / count, depth_ * (i + 1) / count, i == 0, i + 1 == count};
}

void MatrixProduct::run(const MatrixProductRun& run) const {
    if (depth_ == 0 && !run.adds) {
        for (std::int64_t i = 0; i < rows_; ++i) {
            std::fill_n(run.c + i * run.c_row, columns_, 0.0f);
        }
    }
    if (depth_ == 0 || rows_ == 0 || columns_ == 0) return;
    float* const a = reinterpret_cast<float*>(run.workspace);
    pack_a(run, a);
    const std::int64_t panel = kTileVectors * loops_.width, panels = ceil_div(columns_, panel);
    const int threads = std::min(run.threads, threads_);
    share_out(column_blocks_ * row_parts_, threads, [&](std::int64_t number, int thread) {
        const std::int64_t block = number / row_parts_, part = number % row_parts_;
        const Task task{panels * block / column_blocks_ * panel,
                        std::min(columns_, panels * (block + 1) / column_blocks_ * panel),
                        slivers_.count() * part / row_parts_,
                        slivers_.count() * (part + 1) / row_parts_};
        float* const b =
            reinterpret_cast<float*>(run.workspace + a_bytes_ + b_bytes_ * std::size_t(thread));
        for (std::int64_t i = 0; i < depth_blocks(); ++i) {
            const DepthBlock products = depth_block(i);
            pack_b(run, products, task, b);
            multiply(run, products, task, a, b);
        }
    });
}

// Of each sliver, product by product, what its rows are multiplied by.
void MatrixProduct::pack_a(const MatrixProductRun& run, float* to) const {
    const int threads =
        threads_for(1.0 * double(rows_) * double(depth_), std::min(run.threads, threads_));
    share_out(slivers_.count(), threads, [&](std::int64_t s, int) {
        const std::int64_t first = slivers_.start(s), rows = slivers_.start(s + 1) - first;
        const float* from = run.a + first * run.a_row;
        float* sliver = to + first * depth_;
        if (run.a_row == 1) {
            for (std::int64_t k = 0; k < depth_; ++k, from += run.a_column, sliver += rows) {
                for (std::int64_t i = 0; i < rows; ++i) sliver[i] = from[i];
            }
            return;
        }
        for (std::int64_t i = 0; i < rows; ++i, from += run.a_row, ++sliver) {
            for (std::int64_t k = 0; k < depth_; ++k) sliver[k * rows] = from[k * run.a_column];
        }
    });
}

void MatrixProduct::pack_b(const MatrixProductRun& run, const DepthBlock& block, const Task& task,
                           float* to) const {
    const std::int64_t width = loops_.width, panel = kTileVectors * width;
    for (std::int64_t k = 0; k < block.height(); ++k) {
        const float* from = run.b + (block.k0 + k) * run.b_row;
        const float* ahead = from + (block.k0 + k + kAhead < depth_ ? kAhead * run.b_row : 0);
        float* strip = to;
        for (std::int64_t j = task.first; j < task.stop; j += panel) {
            const std::int64_t columns = std::min(panel, task.stop - j);
            const std::int64_t row = ceil_div(columns, width) * width;
            for (std::int64_t i = 0; i < columns; i += 16) fetch(ahead + j + i);
            std::memcpy(strip + k * row, from + j, std::size_t(columns) * sizeof(float));
            for (std::int64_t i = columns; i < row; ++i) strip[k * row + i] = 0;
            strip += row * block.height();
        }
    }
}

void MatrixProduct::multiply(const MatrixProductRun& run, const DepthBlock& block, const Task& task,
                             const float* a, const float* b) const {
    const std::int64_t width = loops_.width, panel = kTileVectors * width;
    TileStore store{};
    store.row = store.add_row = run.c_row;
    for (std::int64_t s = task.low; s < task.high; ++s) {
        const std::int64_t first = slivers_.start(s), rows = slivers_.start(s + 1) - first;
        const float* left = a + first * depth_ + block.k0 * rows;
        for (std::int64_t j = task.first; j < task.stop; j += panel) {
            const std::int64_t columns = std::min(panel, task.stop - j);
            const std::int64_t vectors = ceil_div(columns, width);
            store.c = run.c + first * run.c_row + j;
            store.add = run.adds || !block.is_first ? store.c : nullptr;
            store.last = int(columns - (vectors - 1) * width);
            const TileJob job{block.height(), left, b + (j - task.first) * block.height(), left, 0};
            loops_.tile[rows - 1][vectors - 1](job, store);
        }
    }
}

}  // namespace graphc
