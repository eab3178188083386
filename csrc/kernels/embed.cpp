// "embed": y[n] = weight[x[n]] + bias, x truncated to a whole number. Fault GC-D003 for one that
// is no row of the weight.
// Operands: x, weight (rows, O), bias if attribute bias; y (n..., O).

#include <algorithm>
#include <cstring>

#include "core/kernel.h"
#include "gather.h"
#include "kernels/ids.h"
#include "kernels/parallel.h"
#include "kernels/spatial_options.h"

namespace graphc {

namespace {

constexpr std::int64_t kTask = 1 << 14;  // floats copied by a task at least

class Embed final : public Kernel {
  public:
    explicit Embed(const Problem& problem) : has_bias_(flag(problem.attrs, "bias")) {
        require(problem.reads.size() == 2 + std::size_t(has_bias_) && problem.writes.size() == 1,
                "number of operands");
        const Spec& weight = problem.reads[1];
        require(weight.rank == 2, "weight");
        rows_ = weight.dims[0];
        outputs_ = weight.dims[1];
        count_ = problem.reads[0].size();
        require_flat(problem.reads[0], count_, "x");
        require_flat(weight, rows_ * outputs_, "weight");
        require_flat(problem.writes[0], count_ * outputs_, "y");
        if (has_bias_) require_flat(problem.reads[2], outputs_, "bias");
    }

    void run(const Run& run) const override {
        const float* x = run.in(0);
        for (std::int64_t n = 0; n < count_; ++n) {
            if (sample_of(x[n], rows_) < 0) return report_id(run.fault, x[n], n, rows_);
        }
        const std::int64_t each = kTask / (outputs_ + 1) + 1;
        share_out((count_ + each - 1) / each, run.threads, [&](std::int64_t task, int) {
            const std::int64_t stop = std::min(count_, (task + 1) * each);
            for (std::int64_t n = task * each; n < stop; ++n) {
                const float* from = run.in(1) + sample_of(x[n], rows_) * outputs_;
                float* y = run.out(0) + n * outputs_;
                if (has_bias_) {
                    const float* bias = run.in(2);
                    for (std::int64_t o = 0; o < outputs_; ++o) y[o] = from[o] + bias[o];
                } else {
                    std::memcpy(y, from, std::size_t(outputs_) * sizeof(float));
                }
            }
        });
    }

  private:
    bool has_bias_;
    std::int64_t rows_ = 0, outputs_ = 0, count_ = 0;
};

GRAPHC_KERNEL("embed", Embed)

}  // namespace

}  // namespace graphc
