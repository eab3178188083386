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

// A Scale layer, and perhaps a ReLU, that a kernel does behind its normalization, or whose
// gradients it makes before that of the normalization. Parameters: scale, bias and relu (is there
// one?), and slope, for what is not positive.
struct FollowingScale {
    bool is_there, has_bias, has_relu;
    double slope;

    explicit FollowingScale(const Attrs& attrs)
        : is_there(is_set(attrs, "scale")),
          has_bias(is_there && is_set(attrs, "bias")),
          has_relu(is_there && is_set(attrs, "relu")),
          slope(has_relu ? attrs.real("slope") : 0) {}

    // Operands with a number per channel.
    int rows() const { return is_there ? (has_bias ? 2 : 1) : 0; }

  private:
    static bool is_set(const Attrs& attrs, const char* name) {
        return attrs.has(name) && attrs.integer(name) != 0;
    }
};

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
