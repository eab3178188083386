// "conv_winograd_pack": weight (O, C, K, K) -> packed weight of "conv_winograd", laid out as
// WeightLayout says. Attributes: those of the convolution; transpose, if that is the one that makes
// the gradient of x, of which the weight's O are channels, C outputs, and kernels turned round.

#include <algorithm>

#include "core/kernel.h"
#include "kernels/parallel.h"
#include "kernels/winograd/layout.h"

namespace graphc::winograd {

namespace {

class Pack final : public Kernel {
  public:
    explicit Pack(const Problem& told)
        : is_turned_(flag(told.attrs, "transpose")),
          outputs_(checked(told).dims[is_turned_ ? 1 : 0]),
          channels_(told.reads[0].dims[is_turned_ ? 0 : 1]),
          is_fresh_(is_fresh(count_tiles(told.attrs), channels_)),
          loops_(chosen_loops(told.attrs)),
          taps_(loops_.taps()),
          layout_(loops_, channels_, outputs_, block_lanes(told.attrs)) {
        require_flat(told.writes[0], packed_size(loops_.kernel, channels_, outputs_, is_fresh_),
                     "packed weight");
    }

    void run(const Run& run) const override {
        share_out(layout_.panels(), run.threads, [&](std::int64_t panel, int) {
            for (std::int64_t c = 0; c < channels_; c += kSomeChannels) {
                pack(run.in(0), panel, c, std::min(channels_, c + kSomeChannels), run.out(0));
            }
        });
    }

  private:
    static const Spec& checked(const Problem& told) {
        require(told.reads.size() == 1 && told.writes.size() == 1, "number of operands");
        const std::int64_t kernel = checked_options(told.attrs).kernel[0];
        const Spec& weight = told.reads[0];
        require(weight.rank == 4 && weight.dims[2] == kernel && weight.dims[3] == kernel, "weight");
        require_flat(weight, weight.size(), "weight");
        return weight;
    }

    // Channels c0 .. c1-1 of a panel's outputs. Points lie so far apart that writing them in turn
    // would keep few of them in a cache.
    void pack(const float* weight, std::int64_t panel, std::int64_t c0, std::int64_t c1,
              float* packed) const {
        const std::int64_t first = layout_.start(panel) * loops_.width;
        const std::int64_t row = layout_.vectors_of(panel) * loops_.width, size = (c1 - c0) * row;
        float kernels[kSomeChannels * kMaxTaps * kTileVectors * kMaxWidth];
        float turned[kTileVectors * kMaxWidth * kSomeChannels * kMaxTaps];
        TurnJob job{};
        job.weight = weight + (first * channels_ + c0) * taps_;
        job.output_step = channels_ * taps_;
        job.outputs = outputs_ - first;
        if (is_turned_) {
            turn(weight, first, std::min(row, outputs_ - first), c0, c1, turned);
            job.weight = turned;
            job.output_step = (c1 - c0) * taps_;
        }
        job.channels = c1 - c0;
        job.vectors = layout_.vectors_of(panel);
        job.to = is_fresh_ ? packed + layout_.kernels(panel) + c0 * row * taps_ : kernels;
        loops_.turn(job);
        if (is_fresh_) return;
        float some[kMaxPoints * (kSomeChannels * kTileVectors + 1) * kMaxWidth];
        const std::int64_t step = size + kMaxWidth;  // not the same lines of a cache for all points
        loops_.weight({kernels, c1 - c0, job.vectors, some, step});
        for (int point = 0; point < loops_.points(); ++point) {
            const float* from = some + point * step;
            std::copy(from, from + size, packed + layout_.offset(panel, point) + c0 * row);
        }
    }

    // Kernels of `outputs` outputs from `first` on for the channels c0 .. c1-1, as the weight of
    // the convolution that makes the gradient holds them.
    void turn(const float* weight, std::int64_t first, std::int64_t outputs, std::int64_t c0,
              std::int64_t c1, float* to) const {
        for (std::int64_t c = c0; c < c1; ++c) {
            const float* from = weight + (c * outputs_ + first) * taps_;
            for (std::int64_t o = 0; o < outputs; ++o, from += taps_) {
                float* kernel = to + (o * (c1 - c0) + c - c0) * taps_;
                std::reverse_copy(from, from + taps_, kernel);
            }
        }
    }

    bool is_turned_;
    std::int64_t outputs_, channels_;
    bool is_fresh_;
    const Loops& loops_;
    std::int64_t taps_;
    WeightLayout layout_;
};

GRAPHC_KERNEL("conv_winograd_pack", Pack)

}  // namespace

}  // namespace graphc::winograd
