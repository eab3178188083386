// "conv_winograd_pack": weight (O, C, 3, 3) -> packed weight of "conv_winograd", laid out as
// WeightLayout says. Attributes: those of the convolution.

#include <algorithm>

#include "core/kernel.h"
#include "kernels/parallel.h"
#include "kernels/winograd/layout.h"

namespace graphc::winograd {

namespace {

class Pack final : public Kernel {
  public:
    explicit Pack(const Problem& told)
        : weight_(checked(told)),
          loops_(chosen_loops(block_lanes(told.attrs))),
          layout_(loops_, weight_.dims[1], weight_.dims[0], block_lanes(told.attrs)) {}

    void run(const Run& run) const override {
        share_out(layout_.panels(), run.threads, [&](std::int64_t panel, int) {
            for (std::int64_t c = 0; c < weight_.dims[1]; c += kSomeChannels) {
                pack(run.in(0), panel, c, std::min(weight_.dims[1], c + kSomeChannels), run.out(0));
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

    // Channels c0 .. c1-1 of a panel's outputs. Points lie so far apart that writing them in turn
    // would keep few of them in a cache.
    void pack(const float* weight, std::int64_t panel, std::int64_t c0, std::int64_t c1,
              float* packed) const {
        const std::int64_t channels = weight_.dims[1], first = layout_.start(panel) * loops_.width;
        const std::int64_t row = layout_.vectors_of(panel) * loops_.width, size = (c1 - c0) * row;
        const std::int64_t step = size + kMaxWidth;  // not the same lines of a cache for all points
        float some[kPoints * (kSomeChannels * kTileVectors + 1) * kMaxWidth];
        WeightJob job{};
        job.weight = weight + (first * channels + c0) * kTaps;
        job.output_step = channels * kTaps;
        job.outputs = weight_.dims[0] - first;
        job.channels = c1 - c0;
        job.vectors = layout_.vectors_of(panel);
        job.to = some;
        job.point_step = step;
        loops_.weight(job);
        for (int point = 0; point < kPoints; ++point) {
            const float* from = some + point * step;
            std::copy(from, from + size, packed + layout_.offset(panel, point) + c0 * row);
        }
    }

    Spec weight_;
    const Loops& loops_;
    WeightLayout layout_;
};

GRAPHC_KERNEL("conv_winograd_pack", Pack)

}  // namespace

}  // namespace graphc::winograd
