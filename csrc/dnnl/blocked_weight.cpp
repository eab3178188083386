#include "dnnl/blocked_weight.h"

#include <algorithm>

#include "dnnl/packed_weight.h"
#include "dnnl/provider.h"
#include "kernels/parallel.h"
#include "kernels/split.h"

namespace graphc::onednn {

namespace {

using Tag = dnnl::memory::format_tag;

constexpr double kNsPerElement = 1.0;

// (groups?, O / B, I / B, H, W, B of I, B of O)
Tag blocks_of(int block, bool has_groups) {
    if (block == 16) return has_groups ? Tag::gOIhw16i16o : Tag::OIhw16i16o;
    return has_groups ? Tag::gOIhw8i8o : Tag::OIhw8i8o;
}

}  // namespace

WeightUnblock::WeightUnblock(const Desc& from, const Desc& plain, int threads, bool adds)
    : adds_(adds) {
    const auto dims = plain.get_dims();
    const std::size_t lead = dims.size() - 4;
    const auto blocked = made(threads, [&] {
        return Desc(dims, plain.get_data_type(), blocks_of(channel_block(), lead > 0));
    });
    if (from != blocked) {
        reorder_ = reorder(from, plain, threads, adds);
        return;
    }
    block_ = channel_block();
    if (lead > 0) groups_ = dims[0];
    outputs_ = dims[lead];
    inputs_ = dims[lead + 1];
    taps_ = dims[lead + 2] * dims[lead + 3];
    const double elements = double(groups_) * double(outputs_) * double(inputs_) * double(taps_);
    threads_ = threads_for(kNsPerElement * elements, threads);
}

void WeightUnblock::run(const Run& run, char* scratchpad, const float* from, float* to) const {
    if (reorder_) {
        const void* const ends[] = {from, to};
        reorder_->execute(run, scratchpad, ends);
        return;
    }
    const std::int64_t rows = (outputs_ + block_ - 1) / block_;
    const std::int64_t columns = (inputs_ + block_ - 1) / block_;
    share_out(groups_ * rows, std::min(run.threads, threads_), [&](std::int64_t task, int) {
        const std::int64_t first = task % rows * block_;
        const float* block = from + task * columns * block_ * block_ * taps_;
        float* row = to + (task / rows * outputs_ + first) * inputs_ * taps_;
        for (std::int64_t i = 0; i < inputs_; i += block_) {
            const std::int64_t inputs = std::min(block_, inputs_ - i);
            const std::int64_t outputs = std::min(block_, outputs_ - first);
            if (adds_) {
                copy_block<true>(block, outputs, inputs, row + i * taps_);
            } else {
                copy_block<false>(block, outputs, inputs, row + i * taps_);
            }
            block += block_ * block_ * taps_;
        }
    });
}

// Output by output, so that lines of the plain weight are filled one at a time.
template <bool Adds>
void WeightUnblock::copy_block(const float* block, std::int64_t outputs, std::int64_t inputs,
                               float* to) const {
    const std::int64_t size = block_ * block_, pitch = block_, taps = taps_;
    for (std::int64_t o = 0; o < outputs; ++o, ++block, to += inputs_ * taps) {
        if (taps == 1) {
            for (std::int64_t i = 0; i < inputs; ++i) {
                to[i] = Adds ? to[i] + block[i * pitch] : block[i * pitch];
            }
            continue;
        }
        float* at = to;
        for (std::int64_t i = 0; i < inputs; ++i) {
            const float* from = block + i * pitch;
            for (std::int64_t t = 0; t < taps; ++t, ++at, from += size) {
                *at = Adds ? *at + *from : *from;
            }
        }
    }
}

}  // namespace graphc::onednn
