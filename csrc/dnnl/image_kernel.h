// ImageKernel: one blocked x -> one blocked y, by a single primitive.
#pragma once

#include "core/kernel.h"
#include "dnnl/image.h"

namespace graphc::onednn {

class ImageKernel : public Kernel {
  public:
    std::size_t workspace() const override { return call_.scratchpad(); }

    void run(const Run& run) const override {
        for (std::int64_t n = 0; n < batches_.runs; ++n) {
            const void* const addresses[] = {run.in(0) + n * x_.step, run.out(0) + n * y_.step};
            if (!call_.execute(run, run.workspace, addresses)) return;
        }
    }

  protected:
    // The operands, of as many channels as their blocks have room for: what fills up the last
    // block is zeros, and the primitive makes zeros of them. Throws Error (GC-A001).
    struct Operands {
        Image x, y;
        explicit Operands(const Problem& problem);
    };

    // tell(samples) makes the primitive's descriptor; GC-A001 if it is a slow one.
    template <class Tell>
    ImageKernel(const Problem& problem, const Operands& operands, const Tell& tell)
        : x_(operands.x),
          y_(operands.y),
          batches_(x_, y_),
          call_(prepare(made(problem.threads, [&] { return tell(batches_.samples); }),
                        problem.threads)) {}

  private:
    static Call prepare(const dnnl::primitive_desc& told, int threads);

    Image x_, y_;
    Batches batches_;
    Call call_;
};

}  // namespace graphc::onednn
