// "multinomial_logistic_loss": loss = -sum log(picked) / N, picked = max(x[label], 1e-20) of each
// sample; these too, if asked.

#include <cmath>

#include "kernels/labels.h"
#include "kernels/shapes.h"

namespace graphc {

namespace {

constexpr float kSmallest = 1e-20f;

class MultinomialLogisticLoss final : public Kernel {
  public:
    explicit MultinomialLogisticLoss(const Problem& problem)
        : batch_(batch_of(problem)),
          classes_(problem.reads[0].count(1, problem.reads[0].rank)),
          labels_(problem.reads[1], batch_, classes_, problem.attrs),
          keeps_(problem.writes.size() == 2) {}

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        const float* const labels = run.in(1);
        if (labels_.check(labels, run) < 0) return;
        double total = 0;
        for (std::int64_t n = 0; n < batch_; ++n) {
            const float prob = x[n * classes_ + labels_.at(labels, n)];
            const float picked = prob < kSmallest ? kSmallest : prob;
            total -= std::log(double(picked));
            if (keeps_) run.out(1)[n] = picked;
        }
        run.out(0)[0] = float(total / double(batch_));  // NaN over an empty batch
    }

  private:
    static std::int64_t batch_of(const Problem& problem) {
        expect_dense(problem, "multinomial_logistic_loss", 2, 1, 2);
        const auto& reads = problem.reads;
        const auto& writes = problem.writes;
        expect(reads[0].rank > 0 && writes[0].size() == 1 &&
                   (writes.size() == 1 || writes[1].size() == reads[0].dims[0]),
               "multinomial_logistic_loss gives one loss for a batch");
        return reads[0].dims[0];
    }

    std::int64_t batch_, classes_;
    Labels labels_;
    bool keeps_;
};

GRAPHC_KERNEL("multinomial_logistic_loss", MultinomialLogisticLoss)

}  // namespace

}  // namespace graphc
