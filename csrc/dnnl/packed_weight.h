// The weight of a sum of products in the layout that oneDNN wants for just that problem: flat, and
// of a size that only oneDNN knows. A kernel made with an empty weight tells it (Kernel::packed).
#pragma once

#include "core/kernel.h"
#include "dnnl/engine.h"

namespace graphc::onednn {

std::size_t packed_floats(const Desc& packed);

// Throws Error (GC-A001) unless the operand is empty or flat and as large as `packed`. Returns
// whether it is there.
bool has_weight(const Spec& weight, const Desc& packed);

// Copies to another layout; `adds`: adds to what is there.
Call reorder(const Desc& from, const Desc& to, int threads, bool adds = false);

// What a kernel that was made with an empty weight does instead of running.
void report_missing_weight(const Run& run);

// weight, dense, with the axes of `plain` -> packed weight.
class WeightPack : public Kernel {
  public:
    WeightPack(const Problem& problem, const Desc& plain, const Desc& packed);

    std::size_t workspace() const override { return call_.scratchpad(); }
    std::size_t packed() const override { return packed_; }
    void run(const Run& run) const override;

  private:
    std::size_t packed_;
    bool has_target_;
    Call call_;
};

}  // namespace graphc::onednn
