// Image: an operand with channels, height and width, as oneDNN's kernels take it.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"
#include "dnnl/engine.h"

namespace graphc::onednn {

// Plain (N, C, H, W) if `block` is 0, else blocked (N, ceil(C / block), H, W, block). Each sample
// is contiguous; from one to the next there are `step` elements. Whoever writes a blocked image
// writes zeros for the channels that fill its last block.
struct Image {
    std::int64_t samples, channels, height, width;
    int block;
    std::int64_t step = 0;

    // The blocked image that `spec` is, of as many channels as there is room for. Throws Error
    // (GC-A001, `what` is wrong).
    static Image blocked(const Spec& spec, const std::string& what);

    // Takes the step from `spec`; throws Error (GC-A001) if that is no such image.
    void place(const Spec& spec, const std::string& what);

    // Elements of a sample.
    std::int64_t size() const;
    // Do other elements lie between the samples?
    bool has_gaps() const { return samples > 1 && step != size(); }
    // Of the first `count` samples, without gaps.
    Desc desc(std::int64_t count) const;
};

// One primitive for all samples or, where x or y has gaps, one that takes them one by one.
struct Batches {
    std::int64_t runs = 1, samples = 1;

    Batches(const Image& x, const Image& y) {
        (x.has_gaps() || y.has_gaps() ? runs : samples) = x.samples;
    }
};

}  // namespace graphc::onednn
