// "hinge_loss": loss = sum max(0, 1 - t x)^p / N, t = 1 at the label and -1 elsewhere, p 1 or 2.

#include "kernels/labels.h"
#include "kernels/shapes.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

class HingeLoss final : public Kernel {
  public:
    explicit HingeLoss(const Problem& problem)
        : batch_(batch_of(problem)),
          classes_(problem.reads[0].count(1, problem.reads[0].rank)),
          is_squared_(problem.attrs.integer("squared") != 0),
          labels_(problem.reads[1], batch_, classes_, problem.attrs) {}

    std::size_t workspace() const override { return std::size_t(batch_) * sizeof(double); }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        const float* const labels = run.in(1);
        if (labels_.check(labels, run) < 0) return;
        const int threads = threads_for(double(batch_ * classes_), run.threads);
        const auto sum = [&](std::int64_t n) {
            const float* const row = x + n * classes_;
            const std::int64_t label = labels_.at(labels, n);
            return slack(row, 0, label, 1) + slack(row, label, label + 1, -1) +
                   slack(row, label + 1, classes_, 1);
        };
        const double total =
            ordered_sum(batch_, reinterpret_cast<double*>(run.workspace), threads, sum);
        run.out(0)[0] = float(total / double(batch_));  // NaN over an empty batch
    }

  private:
    static std::int64_t batch_of(const Problem& problem) {
        expect_dense(problem, "hinge_loss", 2, 1, 1);
        expect(problem.reads[0].rank > 0 && problem.writes[0].size() == 1,
               "hinge_loss gives one loss for a batch");
        return problem.reads[0].dims[0];
    }

    // Sum over classes from .. to - 1 of max(0, 1 + sign x)^p; NaN counts as 0.
    double slack(const float* x, std::int64_t from, std::int64_t to, float sign) const {
        double total = 0;
        for (std::int64_t k = from; k < to; ++k) {
            const float margin = 1 + sign * x[k];
            const double each = margin > 0 ? double(margin) : 0;
            total += is_squared_ ? each * each : each;
        }
        return total;
    }

    std::int64_t batch_, classes_;
    bool is_squared_;
    Labels labels_;
};

GRAPHC_KERNEL("hinge_loss", HingeLoss)

}  // namespace

}  // namespace graphc
