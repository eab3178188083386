// "filter_gradient": dx[r_m] = dy[m], r_m the m-th row whose selector is not 0; the other rows of
// dx are 0. Reads dy (M, ...) and selector (N, 1...), writes dx (N, ...). Rows of dy beyond as many
// as the selector names are not looked at.

#include <algorithm>

#include "core/kernel.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class FilterGradient final : public Kernel {
  public:
    explicit FilterGradient(const Problem& problem) {
        require(problem.reads.size() == 2 && problem.writes.size() == 1, "number of operands");
        const Spec &dy = problem.reads[0], &dx = problem.writes[0];
        require(dx.rank >= 1 && dy.rank == dx.rank, "dy");
        given_ = dy.dims[0];
        rows_ = dx.dims[0];
        row_ = dx.count(1, dx.rank);
        require_flat(dy, given_ * row_, "dy");
        require_flat(dx, rows_ * row_, "dx");
        require_flat(problem.reads[1], rows_, "selector");
    }

    void run(const Run& run) const override {
        const float* const selector = run.in(1);
        const double work = double(rows_) * (2 + 0.2 * double(row_));
        split(rows_, threads_for(work, run.threads), [&](std::int64_t first, std::int64_t stop) {
            std::int64_t m = 0;
            for (std::int64_t n = 0; n < first; ++n) m += selector[n] != 0;
            for (std::int64_t n = first; n < stop; ++n) {
                float* const to = run.out(0) + n * row_;
                if (selector[n] != 0 && m < given_) {
                    std::copy_n(run.in(0) + m++ * row_, row_, to);
                } else {
                    std::fill_n(to, row_, 0.0f);
                }
            }
        });
    }

  private:
    std::int64_t given_ = 0, rows_ = 0, row_ = 0;
};

GRAPHC_KERNEL("filter_gradient", FilterGradient)

}  // namespace

}  // namespace graphc
