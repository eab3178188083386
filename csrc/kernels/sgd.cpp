// "sgd": h = momentum * h + rate * lr_mult * (dw + decay * w), w = w - h, in one pass over memory.
// Reads rate, w, h and the summands of dw; writes w and h, which are where they were read.

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/sgd_step.h"
#include "kernels/shapes.h"

namespace graphc {

namespace {

constexpr std::int64_t kTask = 1 << 14, kPiece = 512;

class Sgd final : public Kernel {
  public:
    explicit Sgd(const Problem& problem)
        : rule_(problem.attrs), summands_(int(problem.reads.size()) - kOthers) {
        expect(summands_ >= 1, "sgd needs a gradient");
        expect_dense(problem, "sgd", problem.reads.size(), 2, 2);
        size_ = problem.writes[0].size();
        expect(problem.reads[0].size() == 1, "sgd takes one rate");
        for (const auto* side : {&problem.reads, &problem.writes}) {
            for (const Spec& each : *side) {
                expect(&each == &problem.reads[0] || each.size() == size_,
                       "sgd takes a gradient and a history per weight");
            }
        }
    }

    void run(const Run& run) const override {
        const SgdStep step = rule_.step(run.in(0)[0]);
        share_out((size_ + kTask - 1) / kTask, run.threads, [&](std::int64_t task, int) {
            const std::int64_t from = task * kTask, to = std::min(size_, from + kTask);
            if (summands_ == 1) {
                step(run.in(1) + from, run.in(2) + from, run.in(kOthers) + from, run.out(0) + from,
                     run.out(1) + from, to - from);
            } else {
                step_with_sums(run, step, from, to);
            }
        });
    }

  private:
    static constexpr int kOthers = 3;  // rate, w, h

    void step_with_sums(const Run& run, const SgdStep& step, std::int64_t from,
                        std::int64_t to) const {
        float slope[kPiece];
        for (; from < to; from += kPiece) {
            const std::int64_t n = std::min(kPiece, to - from);
            std::copy_n(run.in(kOthers) + from, n, slope);
            for (int k = 1; k < summands_; ++k) {
                const float* const more = run.in(kOthers + k) + from;
                for (std::int64_t i = 0; i < n; ++i) slope[i] += more[i];
            }
            step(run.in(1) + from, run.in(2) + from, slope, run.out(0) + from, run.out(1) + from,
                 n);
        }
    }

    SgdRule rule_;
    int summands_;
    std::int64_t size_ = 0;
};

GRAPHC_KERNEL("sgd", Sgd)

}  // namespace

}  // namespace graphc
