#include "kernels/dot_products.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kRows = 64;    // whose chunks stay in the L2 cache
constexpr std::int64_t kGroups = 4;   // of as many outputs as one dot takes
constexpr std::int64_t kChunk = 768;  // products, so that a dot's operands stay in the L1 cache

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

DotProducts::DotProducts(std::int64_t rows, std::int64_t outputs, std::int64_t depth, int threads)
    : loops_(chosen_loops()),
      rows_(rows),
      outputs_(outputs),
      depth_(depth),
      block_rows_(std::min(rows, kRows)),
      block_outputs_(std::min(outputs, kGroups * loops_.dot_columns)),
      chunk_(rows <= loops_.dot_rows ? std::max<std::int64_t>(depth, 1) : kChunk),
      // A weight takes as long to fetch as ten multiplications.
      threads_(threads_for(0.02 * double(outputs) * double(depth) * double(rows + 9), threads)) {
    const std::int64_t lanes = block_rows_ * block_outputs_ * loops_.width;
    own_bytes_ = (std::size_t(lanes) * sizeof(float) + 63) / 64 * 64;
}

void DotProducts::run(const DotProductsRun& run) const {
    if (rows_ == 0 || outputs_ == 0) return;
    const std::int64_t blocks = ceil_div(outputs_, block_outputs_);
    share_out(ceil_div(rows_, block_rows_) * blocks, std::min(run.threads, threads_),
              [&](std::int64_t task, int thread) {
                  char* own = run.workspace + own_bytes_ * std::size_t(thread);
                  run_block(run, task / blocks * block_rows_, task % blocks * block_outputs_,
                            reinterpret_cast<float*>(own));
              });
}

void DotProducts::run_block(const DotProductsRun& run, std::int64_t first_row,
                            std::int64_t first_output, float* partial) const {
    const std::int64_t rows = std::min(block_rows_, rows_ - first_row);
    const std::int64_t outputs = std::min(block_outputs_, outputs_ - first_output);
    const std::int64_t tall = loops_.dot_rows, wide = loops_.dot_columns, width = loops_.width;
    // Calls body(row, how many, output, how many, their lanes) for each group of dot products.
    const auto each_group = [&](const auto& body) {
        float* lanes = partial;
        for (std::int64_t o = 0; o < outputs; o += wide) {
            const std::int64_t columns = std::min(wide, outputs - o);
            for (std::int64_t n = 0; n < rows; n += tall) {
                const std::int64_t count = std::min(tall, rows - n);
                body(first_row + n, count, first_output + o, columns, lanes);
                lanes += count * columns * width;
            }
        }
    };
    for (std::int64_t k = 0; k == 0 || k < depth_; k += chunk_) {
        each_group([&](std::int64_t n, std::int64_t count, std::int64_t o, std::int64_t columns,
                       float* lanes) {
            const DotJob job{std::min(chunk_, depth_ - k),
                             run.x + n * run.x_row + k,
                             run.x_row,
                             run.w + o * depth_ + k,
                             depth_,
                             lanes,
                             k == 0};
            loops_.dot[count - 1][columns - 1](job);
        });
    }
    each_group([&](std::int64_t n, std::int64_t count, std::int64_t o, std::int64_t columns,
                   const float* lanes) {
        float sums[kMaxDotRows * kMaxDotColumns];
        loops_.sum_lanes(lanes, count * columns, sums);
        for (std::int64_t i = 0; i < count; ++i) {
            for (std::int64_t j = 0; j < columns; ++j) {
                float value = sums[i * columns + j];
                if (run.add) value += run.add[(n + i) * run.add_row + o + j];
                if (run.bias) value += run.bias[o + j];
                run.y[(n + i) * run.y_row + o + j] = activate(value, run.activation, run.slope);
            }
        }
    });
}

}  // namespace graphc
