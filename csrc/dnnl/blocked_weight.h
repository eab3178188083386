// How a weight's gradient gets from oneDNN's blocks to Caffe's layout.
#pragma once

#include <optional>

#include "core/kernel.h"
#include "dnnl/engine.h"

namespace graphc::onednn {

// Copies a weight (groups?, O, I, H, W) from oneDNN's layout to the plain one, or adds it there.
// oneDNN's own reorder is slow in this direction, where rows of the plain weight are long: each
// block by itself, row by row, takes a quarter of its time.
class WeightUnblock {
  public:
    WeightUnblock(const Desc& from, const Desc& plain, int threads, bool adds);

    std::size_t scratchpad() const { return reorder_ ? reorder_->scratchpad() : 0; }
    void run(const Run& run, char* scratchpad, const float* from, float* to) const;

  private:
    template <bool Adds>
    void copy_block(const float* block, std::int64_t outputs, std::int64_t inputs, float* to) const;

    std::optional<Call> reorder_;  // for other layouts than blocks of inputs by outputs
    bool adds_;
    std::int64_t block_ = 0, groups_ = 1, outputs_ = 0, inputs_ = 0, taps_ = 0;
    int threads_ = 1;
};

}  // namespace graphc::onednn
