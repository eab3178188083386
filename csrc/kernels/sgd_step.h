// SgdStep: the arithmetic of a step of SGD with momentum, on a run of weights.
#pragma once

#include <cstdint>

#include "core/kernel.h"

namespace graphc {

// h = momentum * h + rate * (dw + decay * w), w = w - h.
struct SgdStep {
    float momentum, decay, rate;  // `rate`: this step's, for this parameter

    void operator()(const float* w, const float* h, const float* dw, float* new_w, float* new_h,
                    std::int64_t n) const {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) {
            const float moved = momentum * h[i] + rate * (dw[i] + decay * w[i]);
            new_w[i] = w[i] - moved;
            new_h[i] = moved;
        }
    }
};

// What the attributes momentum, lr_mult and decay say.
class SgdRule {
  public:
    explicit SgdRule(const Attrs& attrs)
        : momentum_(float(attrs.real("momentum"))),
          lr_mult_(float(attrs.real("lr_mult"))),
          decay_(float(attrs.real("decay"))) {}

    SgdStep step(float rate) const { return {momentum_, decay_, rate * lr_mult_}; }

  private:
    float momentum_, lr_mult_, decay_;
};

}  // namespace graphc
