// What the parts of BatchNorm share.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/blocked.h"
#include "kernels/channel_runs.h"
#include "kernels/shapes.h"

namespace graphc {

// Channels are axis 1; a vector is one channel.
inline std::int64_t channels_of(const Spec& x) { return x.rank > 1 ? x.dims[1] : 1; }

inline bool is_row(const Spec& row, std::int64_t size) {
    return row.dtype == DType::f32 && row.contiguous() && row.size() == size;
}

// An operand whose channels are summed over: dense, or, with the parameter channels, in blocks.
struct ChannelOperand {
    Index sample_step = 0;  // in floats
    Index lanes = 1;        // channels that take turns in a run
    ChannelRuns runs;

    ChannelOperand() = default;

    ChannelOperand(const Spec& x, const Attrs& attrs, const std::string& name) {
        if (attrs.has("channels")) {
            const Blocked blocked(x, attrs.integer("channels"), name);
            sample_step = blocked.sample_step;
            lanes = blocked.lanes;
            runs = ChannelRuns(blocked);
            return;
        }
        expect(x.dtype == DType::f32 && x.contiguous(), name + " takes dense float32 operands");
        const bool is_vector = x.rank <= 1;  // one run, not a run per sample
        runs = ChannelRuns(is_vector ? Around{1, 1, x.size()} : around(x, 1));
        sample_step = runs.plain_step();
    }

    const float* at(const float* base, Index group, Index outer, Index first) const {
        return base + runs.offset(sample_step, group, outer) + first;
    }
};

}  // namespace graphc
