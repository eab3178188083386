// "inner_product_sgd": the gradient of an inner product's weight, and with it a step of SGD. The
// gradient is made a few rows by a few columns at a time and never leaves the caches: of the memory
// only the weight and its history are read and written, once.
//
// Reads dy (n..., O), x (n..., k...), rate, weight, (O, K) or with attribute transpose (K, O), and
// history; writes weight and history, which are where they were read. Attributes axis as
// "inner_product_dweight"; momentum, lr_mult, decay as "sgd".

#include <algorithm>
#include <vector>

#include "kernels/gemm_types.h"
#include "kernels/matrix.h"
#include "kernels/parallel.h"
#include "kernels/sgd_step.h"
#include "kernels/spatial_options.h"

namespace graphc {

namespace {

constexpr std::int64_t kChunk = 1024;  // columns; a thread's sums of so many stay in its L2

class InnerProductSgd final : public Kernel {
  public:
    explicit InnerProductSgd(const Problem& problem)
        : rule_(problem.attrs), is_turned_(flag(problem.attrs, "transpose")) {
        require(problem.reads.size() == 5 && problem.writes.size() == 2, "number of operands");
        const Matrix dy(problem, problem.reads[0], "dy"), x(problem, problem.reads[1], "x");
        require(dy.rows == x.rows, "x");
        batch_ = dy.rows;
        rows_ = is_turned_ ? x.columns : dy.columns;
        columns_ = is_turned_ ? dy.columns : x.columns;
        require_flat(problem.reads[2], 1, "rate");
        for (const Spec* each :
             {&problem.reads[3], &problem.reads[4], &problem.writes[0], &problem.writes[1]}) {
            require_flat(*each, rows_ * columns_, "weight and history");
        }
        panel_ = kTileVectors * loops_.width;
        for (std::int64_t n = 0; n < batch_; ++n) {
            offsets_.push_back(n * columns_);
            last_offsets_.push_back(n * panel_);
        }
        threads_ = problem.threads;
    }

    std::size_t workspace() const override { return std::size_t(threads_) * own() * sizeof(float); }

    void run(const Run& run) const override {
        const SgdStep step = rule_.step(run.in(2)[0]);
        const std::int64_t blocks = (rows_ + loops_.tile_rows - 1) / loops_.tile_rows;
        const std::int64_t chunks = (columns_ + kChunk - 1) / kChunk;
        // tasks that follow each other share the columns of x
        share_out(blocks * chunks, std::min(run.threads, threads_),
                  [&](std::int64_t task, int thread) {
                      const std::int64_t row = task % blocks * loops_.tile_rows;
                      const std::int64_t column = task / blocks * kChunk;
                      float* const own_floats =
                          reinterpret_cast<float*>(run.workspace) + std::size_t(thread) * own();
                      update(run, step, row, column, own_floats);
                  });
    }

  private:
    // Floats of workspace of a thread: sums, a panel of the left matrix, the right's last columns.
    std::size_t own() const {
        const std::int64_t sums = loops_.tile_rows * kChunk;
        const std::int64_t floats = sums + batch_ * (loops_.tile_rows + panel_);
        return std::size_t((floats + 15) / 16 * 16);
    }

    void update(const Run& run, const SgdStep& step, std::int64_t row, std::int64_t column,
                float* own_floats) const {
        const std::int64_t count = std::min<std::int64_t>(loops_.tile_rows, rows_ - row);
        const std::int64_t stop = std::min(columns_, column + kChunk);
        float* const sums = own_floats;
        float* const left = sums + loops_.tile_rows * kChunk;
        float* const last = left + batch_ * loops_.tile_rows;
        const float* const from = run.in(int(is_turned_)) + row;
        for (std::int64_t n = 0; n < batch_; ++n) {
            std::copy_n(from + n * rows_, count, left + n * count);
        }
        multiply(run.in(int(!is_turned_)), left, int(count), column, stop, sums, last);
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t at = (row + i) * columns_ + column;
            step(run.in(3) + at, run.in(4) + at, sums + i * kChunk, run.out(0) + at,
                 run.out(1) + at, stop - column);
        }
    }

    // sums[i * kChunk + c - column] = sum_n left[n,i] right[n,c] for c from `column` to `stop`.
    void multiply(const float* right, const float* left, int count, std::int64_t column,
                  std::int64_t stop, float* sums, float* last) const {
        BandJob job{};
        job.depth = batch_;
        job.a = job.ahead = left;
        job.run_count = 1;
        TileStore store{};
        store.row = kChunk;
        for (std::int64_t c = column; c < stop; c += panel_) {
            const std::int64_t kept = std::min(panel_, stop - c);
            job.b = right + c;
            job.offsets = offsets_.data();
            if (kept < panel_) {  // whole vectors are read, which there are not
                for (std::int64_t n = 0; n < batch_; ++n) {
                    float* const to = last + n * panel_;
                    std::fill(std::copy_n(right + n * columns_ + c, kept, to), to + panel_, 0.0f);
                }
                job.b = last;
                job.offsets = last_offsets_.data();
            }
            job.runs[0] = {0, int(kept)};
            store.c = sums + (c - column);
            loops_.band_tile[count - 1][(kept - 1) / loops_.width](job, store);
        }
    }

    const GemmLoops& loops_ = chosen_loops();
    SgdRule rule_;
    bool is_turned_;
    std::int64_t batch_ = 0, rows_ = 0, columns_ = 0, panel_ = 0;
    std::vector<std::int64_t> offsets_, last_offsets_;
    int threads_ = 1;
};

GRAPHC_KERNEL("inner_product_sgd", InnerProductSgd)

}  // namespace

}  // namespace graphc
