// "scatter_rows": rows[x[n]] += dy[n] for each n in order, x truncated to a whole number: what
// "embed" gathers, the other way. Fault GC-D003 for an x that is no row.
// Operands: dy (n..., O), x, with attribute accumulate rows as well, which are else zeros before;
// writes rows (rows, O).

#include <algorithm>
#include <cstring>

#include "core/kernel.h"
#include "gather.h"
#include "kernels/ids.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class ScatterRows final : public Kernel {
  public:
    explicit ScatterRows(const Problem& problem) : adds_(flag(problem.attrs, "accumulate")) {
        require(problem.reads.size() == 2 + std::size_t(adds_) && problem.writes.size() == 1,
                "number of operands");
        const Spec& rows = problem.writes[0];
        require(rows.rank == 2, "rows");
        rows_ = rows.dims[0];
        outputs_ = rows.dims[1];
        count_ = problem.reads[1].size();
        require_flat(problem.reads[0], count_ * outputs_, "dy");
        require_flat(problem.reads[1], count_, "x");
        require_flat(rows, rows_ * outputs_, "rows");
        if (adds_) require_flat(problem.reads[2], rows_ * outputs_, "rows");
        threads_ = threads_for(0.5 * double(count_ + rows_) * double(outputs_), problem.threads);
    }

    // Threads share out the columns, so that rows are added to in order.
    void run(const Run& run) const override {
        const float* x = run.in(1);
        for (std::int64_t n = 0; n < count_; ++n) {
            if (sample_of(x[n], rows_) < 0) return report_id(run.fault, x[n], n, rows_);
        }
        split(outputs_, std::min(run.threads, threads_), [&](std::int64_t from, std::int64_t to) {
            float* const rows = run.out(0);
            if (!adds_) {
                for (std::int64_t i = 0; i < rows_; ++i) {
                    std::fill(rows + i * outputs_ + from, rows + i * outputs_ + to, 0.0f);
                }
            }
            for (std::int64_t n = 0; n < count_; ++n) {
                const float* dy = run.in(0) + n * outputs_;
                float* row = rows + sample_of(x[n], rows_) * outputs_;
                for (std::int64_t o = from; o < to; ++o) row[o] += dy[o];
            }
        });
    }

  private:
    bool adds_;
    std::int64_t rows_ = 0, outputs_ = 0, count_ = 0;
    int threads_ = 1;
};

GRAPHC_KERNEL("scatter_rows", ScatterRows)

}  // namespace

}  // namespace graphc
