// "conv_winograd_pack": weight (O, C, 3, 3) -> packed weight of "conv_winograd", laid out as
// WeightLayout says. Attributes: those of the convolution.

#include "core/kernel.h"
#include "kernels/parallel.h"
#include "kernels/winograd/layout.h"

namespace graphc::winograd {

namespace {

constexpr int kTaps = kKernel * kKernel;
constexpr int kMostOutputs = kTileVectors * kMaxWidth;

// One number for each output of a panel; doubles, so that only the end is rounded.
using Row = double[kMostOutputs];

// The polynomial g at the six points of an axis, each divided by the product of the point's
// distances to the others. Rows of g lie g_step apart, those of u u_step.
void evaluate(const Row* g, int g_step, Row* u, int u_step) {
    constexpr double near = kNear, far = kFar, near2 = kNear2, far2 = kFar2;
    constexpr double at_zero = 1 / (near2 * far2);
    constexpr double at_near = 1 / (2 * near2 * (near2 - far2));
    constexpr double at_far = 1 / (2 * far2 * (far2 - near2));
    for (int o = 0; o < kMostOutputs; ++o) {
        const double g0 = g[0][o], g1 = g[g_step][o], g2 = g[2 * g_step][o];
        u[0][o] = at_zero * g0;
        u[1 * u_step][o] = at_near * (g0 + near2 * g2 + near * g1);
        u[2 * u_step][o] = at_near * (g0 + near2 * g2 - near * g1);
        u[3 * u_step][o] = at_far * (g0 + far2 * g2 + far * g1);
        u[4 * u_step][o] = at_far * (g0 + far2 * g2 - far * g1);
        u[5 * u_step][o] = g2;
    }
}

class Pack final : public Kernel {
  public:
    explicit Pack(const Problem& told)
        : weight_(checked(told)),
          width_(chosen_loops(block_lanes(told.attrs)).width),
          layout_(chosen_loops(block_lanes(told.attrs)), weight_.dims[1], weight_.dims[0],
                  block_lanes(told.attrs)) {}

    void run(const Run& run) const override {
        share_out(layout_.panels(), run.threads, [&](std::int64_t panel, int) {
            for (std::int64_t c = 0; c < weight_.dims[1]; ++c) {
                pack(run.in(0), panel, c, run.out(0));
            }
        });
    }

  private:
    static const Spec& checked(const Problem& told) {
        require(told.reads.size() == 1 && told.writes.size() == 1, "number of operands");
        checked_options(told.attrs);
        const Spec& weight = told.reads[0];
        require(weight.rank == 4 && weight.dims[2] == kKernel && weight.dims[3] == kKernel,
                "weight");
        require_flat(weight, weight.size(), "weight");
        require_flat(told.writes[0], packed_size(weight.dims[1], weight.dims[0]), "packed weight");
        return weight;
    }

    // Channel c of a panel's outputs.
    void pack(const float* weight, std::int64_t panel, std::int64_t c, float* packed) const {
        const std::int64_t channels = weight_.dims[1], first = layout_.start(panel) * width_;
        const std::int64_t row = layout_.vectors_of(panel) * width_;
        const std::int64_t count = std::clamp<std::int64_t>(weight_.dims[0] - first, 0, row);
        Row g[kTaps] = {}, half[kPatch * kKernel], u[kPoints];
        for (std::int64_t o = 0; o < count; ++o) {
            const float* from = weight + ((first + o) * channels + c) * kTaps;
            for (int t = 0; t < kTaps; ++t) g[t][o] = double(from[t]);
        }
        for (int j = 0; j < kKernel; ++j) evaluate(g + j, kKernel, half + j, kKernel);
        for (int i = 0; i < kPatch; ++i) evaluate(half + i * kKernel, 1, u + i * kPatch, 1);
        for (int point = 0; point < kPoints; ++point) {
            float* to = packed + layout_.offset(panel, point) + c * row;
            for (std::int64_t o = 0; o < row; ++o) to[o] = float(u[point][o]);
        }
    }

    Spec weight_;
    std::int64_t width_;
    WeightLayout layout_;
};

GRAPHC_KERNEL("conv_winograd_pack", Pack)

}  // namespace

}  // namespace graphc::winograd
