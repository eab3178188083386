// "infogain_loss": loss = -sum_k H[label, k] log(max(prob[k], 1e-20)) / divisor over all labels.

#include <cmath>

#include "kernels/labels.h"
#include "kernels/softmax_rows.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

constexpr double kSmallest = 1e-20;

class InfogainLoss final : public Kernel {
  public:
    explicit InfogainLoss(const Problem& problem)
        : shape_(shape_of(problem)),
          rows_(shape_),
          labels_(problem.reads[1], shape_.outer * shape_.inner, shape_.extent, problem.attrs),
          divisor_(problem.attrs),
          size_(problem.reads[0].size()),
          keeps_(problem.writes.size() == 2) {}

    // Partial sums, then prob unless it is asked for.
    std::size_t workspace() const override {
        return std::size_t(shape_.outer) * sizeof(double) +
               (keeps_ ? 0 : std::size_t(size_) * sizeof(float));
    }

    void run(const Run& run) const override {
        const float* const labels = run.in(1);
        const float* const gains = run.in(2);
        const std::int64_t valid = labels_.check(labels, run);
        if (valid < 0) return;
        double* const partial = reinterpret_cast<double*>(run.workspace);
        float* const prob = keeps_ ? run.out(1) : reinterpret_cast<float*>(partial + shape_.outer);
        rows_.run(run.in(0), prob, run.threads);
        const int threads = threads_for(8 * double(size_), run.threads);
        const double total = ordered_sum(shape_.outer, partial, threads, [&](std::int64_t outer) {
            return loss_of(prob, labels, gains, outer);
        });
        run.out(0)[0] = float(-total / divisor_.of(valid));
    }

  private:
    static Around shape_of(const Problem& problem) {
        expect_dense(problem, "infogain_loss", 3, 1, 2);
        const auto& reads = problem.reads;
        const auto& writes = problem.writes;
        const Around shape = around(reads[0], problem.attrs.integer("axis"));
        expect(writes[0].size() == 1 &&
                   writes.back().size() == (writes.size() == 2 ? reads[0].size() : 1),
               "infogain_loss gives one loss, and prob in the shape of x");
        expect(reads[2].size() == shape.extent * shape.extent,
               "H has a row and a column per class");
        return shape;
    }

    double loss_of(const float* prob, const float* labels, const float* gains,
                   std::int64_t outer) const {
        double total = 0;
        prob += outer * shape_.extent * shape_.inner;
        for (std::int64_t i = 0; i < shape_.inner; ++i) {
            const std::int64_t label = labels_.at(labels, outer * shape_.inner + i);
            if (label < 0) continue;
            for (std::int64_t k = 0; k < shape_.extent; ++k) {
                const double p = double(prob[k * shape_.inner + i]);
                const double gain = double(gains[label * shape_.extent + k]);
                total += gain * std::log(p < kSmallest ? kSmallest : p);
            }
        }
        return total;
    }

    Around shape_;
    SoftmaxRows rows_;
    Labels labels_;
    Divisor divisor_;
    std::int64_t size_;
    bool keeps_;
};

GRAPHC_KERNEL("infogain_loss", InfogainLoss)

}  // namespace

}  // namespace graphc
