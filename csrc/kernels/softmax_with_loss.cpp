// "softmax_with_loss": loss = -sum log(max(prob[label], FLT_MIN)) / divisor; prob too, if asked.

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/labels.h"
#include "kernels/softmax_rows.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

class SoftmaxWithLoss final : public Kernel {
  public:
    explicit SoftmaxWithLoss(const Problem& problem)
        : shape_(shape_of(problem)),
          rows_(shape_),
          labels_(problem.reads[1], shape_.outer * shape_.inner, shape_.extent, problem.attrs),
          divisor_(problem.attrs),
          keeps_(problem.writes.size() == 2) {}

    std::size_t workspace() const override { return std::size_t(rows_.items()) * sizeof(double); }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        const float* const labels = run.in(1);
        float* const prob = keeps_ ? run.out(1) : nullptr;
        const std::int64_t valid = labels_.check(labels, run);
        if (valid < 0) return;
        double* const partial = reinterpret_cast<double*>(run.workspace);
        const int threads = threads_for(rows_.cost(), run.threads);
        const double total = ordered_sum(rows_.items(), partial, threads, [&](std::int64_t index) {
            SoftmaxRows::Item item;
            rows_.reduce(x, prob, index, item);
            if (prob) rows_.divide(prob, item);
            return loss_of(x, labels, item);
        });
        run.out(0)[0] = float(total / divisor_.of(valid));
    }

  private:
    static Around shape_of(const Problem& problem) {
        expect_dense(problem, "softmax_with_loss", 2, 1, 2);
        const auto& reads = problem.reads;
        const auto& writes = problem.writes;
        expect(writes[0].size() == 1 &&
                   writes.back().size() == (writes.size() == 2 ? reads[0].size() : 1),
               "softmax_with_loss gives one loss, and prob in the shape of x");
        return around(reads[0], problem.attrs.integer("axis"));
    }

    // log(sum) - score is -log(prob); cut off where prob is below FLT_MIN, NaN stays.
    double loss_of(const float* x, const float* labels, const SoftmaxRows::Item& item) const {
        float logs[SoftmaxRows::kColumns];
        std::copy_n(item.total, item.count, logs);
        loops_.unary_of(Opcode::log)(logs, logs, item.count);
        double total = 0;
        for (int i = 0; i < item.count; ++i) {
            const std::int64_t column = item.first + i;
            const std::int64_t label = labels_.at(labels, item.outer * shape_.inner + column);
            if (label < 0) continue;
            const std::int64_t row = item.outer * shape_.extent + label;
            const double score = double(x[row * shape_.inner + column]) - double(item.peak[i]);
            const double loss = double(logs[i]) - score;
            total += loss > largest_ ? largest_ : loss;
        }
        return total;
    }

    const double largest_ = -std::log(double(FLT_MIN));
    const Spans& loops_ = spans();
    Around shape_;
    SoftmaxRows rows_;
    Labels labels_;
    Divisor divisor_;
    bool keeps_;
};

GRAPHC_KERNEL("softmax_with_loss", SoftmaxWithLoss)

}  // namespace

}  // namespace graphc
