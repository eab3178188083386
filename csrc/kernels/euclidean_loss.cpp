// "euclidean_loss": loss = sum (x - target)^2 / (2 N); the differences too, if asked.

#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

constexpr std::int64_t kBlock = 512;

class EuclideanLoss final : public Kernel {
  public:
    explicit EuclideanLoss(const Problem& problem)
        : loops_(spans()), keeps_(problem.writes.size() == 2) {
        expect_dense(problem, "euclidean_loss", 2, 1, 2);
        const auto& reads = problem.reads;
        const auto& writes = problem.writes;
        size_ = reads[0].size();
        expect(reads[0].rank > 0 && reads[1].size() == size_ && writes[0].size() == 1 &&
                   writes.back().size() == (keeps_ ? size_ : 1),
               "euclidean_loss has a target per number, and gives one loss");
        batch_ = reads[0].dims[0];
    }

    std::size_t workspace() const override {
        return std::size_t(pieces_of(size_)) * sizeof(double);
    }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        const float* const target = run.in(1);
        const auto sum = [&](std::int64_t from, std::int64_t to) {
            double total = 0;
            float scratch[kBlock];
            for (std::int64_t at = from; at < to; at += kBlock) {
                const std::int64_t n = std::min(kBlock, to - at);
                float* const diff = keeps_ ? run.out(1) + at : scratch;
                loops_.binary_of(Opcode::sub)(diff, x + at, target + at, n);
                total += loops_.sum_squares(diff, n);
            }
            return total;
        };
        const int threads = threads_for(0.2 * double(size_), run.threads);
        const double total =
            piecewise_sum(size_, reinterpret_cast<double*>(run.workspace), threads, sum);
        run.out(0)[0] = float(total / double(2 * batch_));  // NaN over an empty batch
    }

  private:
    const Spans& loops_;
    std::int64_t size_ = 0, batch_ = 0;
    bool keeps_;
};

GRAPHC_KERNEL("euclidean_loss", EuclideanLoss)

}  // namespace

}  // namespace graphc
