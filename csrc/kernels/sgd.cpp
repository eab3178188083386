// "sgd": h = momentum * h + rate * lr_mult * (dw + decay * w), w = w - h, in one pass over memory.
// Reads rate, w, h and the summands of dw; writes w and h, which are where they were read.

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/shapes.h"

namespace graphc {

namespace {

constexpr std::int64_t kTask = 1 << 14;

class Sgd final : public Kernel {
  public:
    explicit Sgd(const Problem& problem)
        : momentum_(float(problem.attrs.real("momentum"))),
          lr_mult_(float(problem.attrs.real("lr_mult"))),
          decay_(float(problem.attrs.real("decay"))),
          summands_(int(problem.reads.size()) - kOthers) {
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
        const float rate = run.in(0)[0] * lr_mult_;
        share_out((size_ + kTask - 1) / kTask, run.threads, [&](std::int64_t task, int) {
            const std::int64_t from = task * kTask, to = std::min(size_, from + kTask);
            step(run, rate, from, to);
        });
    }

  private:
    static constexpr int kOthers = 3;  // rate, w, h

    void step(const Run& run, float rate, std::int64_t from, std::int64_t to) const {
        const float* const w = run.in(1);
        const float* const h = run.in(2);
        const float* const dw = run.in(kOthers);
        float* const new_w = run.out(0);
        float* const new_h = run.out(1);
        if (summands_ == 1) {
#pragma omp simd
            for (std::int64_t i = from; i < to; ++i) {
                const float moved = momentum_ * h[i] + rate * (dw[i] + decay_ * w[i]);
                new_w[i] = w[i] - moved;
                new_h[i] = moved;
            }
            return;
        }
        for (std::int64_t i = from; i < to; ++i) {
            float slope = dw[i];
            for (int k = 1; k < summands_; ++k) slope += run.in(kOthers + k)[i];
            const float moved = momentum_ * h[i] + rate * (slope + decay_ * w[i]);
            new_w[i] = w[i] - moved;
            new_h[i] = moved;
        }
    }

    float momentum_, lr_mult_, decay_;
    int summands_;
    std::int64_t size_ = 0;
};

GRAPHC_KERNEL("sgd", Sgd)

}  // namespace

}  // namespace graphc
