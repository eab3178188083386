// "sigmoid_cross_entropy_loss": loss = -sum (x (t - [x >= 0]) - log(1 + exp(-|x|))) / divisor over
// targets t that are not ignored; prob = sigmoid(x) too, if asked.

#include <cmath>

#include "kernels/labels.h"
#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

constexpr std::int64_t kBlock = 512;

class SigmoidCrossEntropyLoss final : public Kernel {
  public:
    explicit SigmoidCrossEntropyLoss(const Problem& problem)
        : loops_(spans()), divisor_(problem.attrs), keeps_(problem.writes.size() == 2) {
        expect_dense(problem, "sigmoid_cross_entropy_loss", 2, 1, 2);
        const auto& reads = problem.reads;
        const auto& writes = problem.writes;
        size_ = reads[0].size();
        expect(reads[1].size() == size_ && writes[0].size() == 1 &&
                   writes.back().size() == (keeps_ ? size_ : 1),
               "sigmoid_cross_entropy_loss has a target per score, and gives one loss");
        has_ignored_ = problem.attrs.has("ignore_label");
        if (has_ignored_) ignored_ = double(problem.attrs.integer("ignore_label"));
    }

    std::size_t workspace() const override {
        return std::size_t(pieces_of(size_)) * sizeof(double);
    }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        const float* const targets = run.in(1);
        double* const partial = reinterpret_cast<double*>(run.workspace);
        const int threads = threads_for(1.5 * double(size_), run.threads);
        const auto sum = [&](std::int64_t from, std::int64_t to) {
            double total = 0;
            for (std::int64_t at = from; at < to; at += kBlock) {
                const std::int64_t n = std::min(kBlock, to - at);
                total += block_loss(x + at, targets + at, n);
                if (keeps_) sigmoid(run.out(1) + at, x + at, n);
            }
            return total;
        };
        const double total = piecewise_sum(size_, partial, threads, sum);
        run.out(0)[0] = float(-total / divisor_.of(has_ignored_ ? valid(targets) : size_));
    }

  private:
    bool counts(float target) const {
        return !has_ignored_ || std::trunc(double(target)) != ignored_;
    }

    std::int64_t valid(const float* targets) const {
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < size_; ++i) count += counts(targets[i]);
        return count;
    }

    double block_loss(const float* x, const float* targets, std::int64_t n) const {
        float soft[kBlock] = {};
        // -|x|, but NaN for an infinity, as Caffe's x - 2 x [x >= 0] has it
        for (std::int64_t i = 0; i < n; ++i) soft[i] = x[i] * 0.0f - std::fabs(x[i]);
        loops_.unary_of(Opcode::exp)(soft, soft, n);
        loops_.unary_of(Opcode::log1p)(soft, soft, n);
        double total = 0;
        for (std::int64_t i = 0; i < n; ++i) {
            const float each = x[i] * (targets[i] - (x[i] >= 0 ? 1.0f : 0.0f)) - soft[i];
            total += counts(targets[i]) ? double(each) : 0;
        }
        return total;
    }

    void sigmoid(float* out, const float* x, std::int64_t n) const {
        loops_.normalize(out, x, n, 0, 0, 0.5f);
        loops_.unary_of(Opcode::tanh)(out, out, n);
        for (std::int64_t i = 0; i < n; ++i) out[i] = 0.5f * out[i] + 0.5f;
    }

    const Spans& loops_;
    Divisor divisor_;
    std::int64_t size_ = 0;
    bool keeps_, has_ignored_ = false;
    double ignored_ = 0;
};

GRAPHC_KERNEL("sigmoid_cross_entropy_loss", SigmoidCrossEntropyLoss)

}  // namespace

}  // namespace graphc
