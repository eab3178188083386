// "contrastive_loss": loss = sum (d^2 if similar else max(0, margin - d)^2) / (2 N), d = |left -
// right| of each row, or with `legacy` max(0, margin - d^2); the differences too, if asked.

#include <cmath>

#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

constexpr std::int64_t kBlock = 512;

class ContrastiveLoss final : public Kernel {
  public:
    explicit ContrastiveLoss(const Problem& problem)
        : loops_(spans()),
          margin_(problem.attrs.real("margin")),
          is_legacy_(problem.attrs.integer("legacy") != 0),
          keeps_(problem.writes.size() == 2) {
        expect_dense(problem, "contrastive_loss", 3, 1, 2);
        const auto& reads = problem.reads;
        const auto& writes = problem.writes;
        expect(reads[0].rank > 0, "contrastive_loss takes a batch");
        batch_ = reads[0].dims[0];
        row_ = reads[0].count(1, reads[0].rank);
        const std::int64_t size = batch_ * row_;
        expect(reads[1].size() == size && reads[2].size() == batch_ && writes[0].size() == 1 &&
                   writes.back().size() == (keeps_ ? size : 1),
               "contrastive_loss compares rows of one length, and gives one loss");
    }

    std::size_t workspace() const override { return std::size_t(batch_) * sizeof(double); }

    void run(const Run& run) const override {
        const float* const similar = run.in(2);
        const auto sum = [&](std::int64_t n) {
            const double square = square_of(run, n);
            if (std::trunc(similar[n]) != 0) return square;
            const double gap = margin_ - (is_legacy_ ? square : std::sqrt(square));
            const double push = gap < 0 ? 0 : gap;  // a NaN stays
            return is_legacy_ ? push : push * push;
        };
        const int threads = threads_for(0.2 * double(batch_ * row_), run.threads);
        const double total =
            ordered_sum(batch_, reinterpret_cast<double*>(run.workspace), threads, sum);
        run.out(0)[0] = float(total / double(2 * batch_));  // NaN over an empty batch
    }

  private:
    double square_of(const Run& run, std::int64_t n) const {
        const float* const left = run.in(0) + n * row_;
        const float* const right = run.in(1) + n * row_;
        float scratch[kBlock];
        double total = 0;
        for (std::int64_t at = 0; at < row_; at += kBlock) {
            const std::int64_t count = std::min(kBlock, row_ - at);
            float* const diff = keeps_ ? run.out(1) + n * row_ + at : scratch;
            loops_.binary_of(Opcode::sub)(diff, left + at, right + at, count);
            total += loops_.sum_squares(diff, count);
        }
        return total;
    }

    const Spans& loops_;
    double margin_;
    bool is_legacy_, keeps_;
    std::int64_t batch_ = 0, row_ = 0;
};

GRAPHC_KERNEL("contrastive_loss", ContrastiveLoss)

}  // namespace

}  // namespace graphc
