// "dnnl_conv_dx": reads dy, packed weight; writes dx. As a deconvolution of dy it may have more to
// do: with attribute shift it reads a number per channel that it adds, with relu (and slope)
// negative elements are replaced. "dnnl_conv_dx_pack": reads weight (O, C / group, kernel...),
// writes the packed weight.
// "dnnl_conv_dweight": reads dy, x (with attribute transpose x, dy), with attribute accumulate
// dweight as well, to which it then adds; writes dweight, shaped as the weight.
//
// dy is blocked, dx as well, x blocked or plain (attribute plain). Attributes: those of the
// convolution.

#include <algorithm>

#include "dnnl/blocked_weight.h"
#include "dnnl/convolution.h"
#include "dnnl/packed_weight.h"
#include "kernels/gemm_types.h"
#include "kernels/split.h"

namespace graphc::onednn {

namespace {

Image placed(Image image, const std::vector<Spec>& specs, std::size_t at, const char* what) {
    require(specs.size() > at, "number of operands");
    image.place(specs[at], what);
    return image;
}

class DataGradient final : public Kernel {
  public:
    explicit DataGradient(const Problem& told) : DataGradient(told, {told.attrs, told.threads}) {}

    std::size_t workspace() const override { return call_.scratchpad(); }
    std::size_t packed() const override { return packed_; }

    void run(const Run& run) const override {
        if (!has_weight_) return report_missing_weight(run);
        for (std::int64_t n = 0; n < batches_.runs; ++n) {
            const void* const addresses[] = {run.in(0) + n * dy_.step, run.in(1),
                                             run.out(0) + n * dx_.step};
            if (!call_.execute(run, run.workspace, addresses)) return;
        }
        if (has_shift_ || act_.activation != Activation::none) finish(run);
    }

  private:
    DataGradient(const Problem& told, const ConvolutionProblem& problem)
        : has_shift_(flag(told.attrs, "shift")),
          act_(told.attrs),
          dy_(placed(problem.y(), told.reads, 0, "dy")),
          dx_(placed(problem.x(), told.writes, 0, "dx")),
          batches_(dx_, dy_),
          call_(prepare(told, problem)) {}

    Call prepare(const Problem& told, const ConvolutionProblem& problem) {
        require(told.reads.size() == 2 + std::size_t(has_shift_) && told.writes.size() == 1,
                "number of operands");
        if (has_shift_) require_flat(told.reads[2], dx_.channels, "shift");
        const Desc weight = problem.packed_data_weight();
        packed_ = packed_floats(weight);
        has_weight_ = has_weight(told.reads[1], weight);
        const auto primitive = problem.tell_data(batches_.samples, weight);
        return Call(primitive,
                    {{DNNL_ARG_DIFF_DST, primitive.diff_dst_desc()},
                     {DNNL_ARG_WEIGHTS, weight},
                     {DNNL_ARG_DIFF_SRC, primitive.diff_src_desc()}},
                    told.threads);
    }

    // Lanes that fill up the last block are zeros, and stay so.
    void finish(const Run& run) const {
        const std::int64_t lanes = dx_.block, blocks = (dx_.channels + lanes - 1) / lanes;
        const std::int64_t plane = dx_.height * dx_.width * lanes;
        const double work = 0.5 * double(dx_.samples) * double(dx_.size());
        split(dx_.samples * blocks, threads_for(work, run.threads),
              [&](std::int64_t first, std::int64_t stop) {
                  for (std::int64_t i = first; i < stop; ++i) {
                      const std::int64_t c = i % blocks * lanes;
                      float shift[kMaxWidth] = {};
                      if (has_shift_) {
                          std::copy_n(run.in(2) + c, std::min(lanes, dx_.channels - c), shift);
                      }
                      float* dx = run.out(0) + i / blocks * dx_.step + i % blocks * plane;
                      for (float* const end = dx + plane; dx < end; dx += lanes) {
                          for (std::int64_t k = 0; k < lanes; ++k) {
                              dx[k] = activate(dx[k] + shift[k], act_.activation, act_.slope);
                          }
                      }
                  }
              });
    }

    bool has_shift_;
    ActivationOptions act_;
    Image dy_, dx_;
    Batches batches_;
    bool has_weight_ = false;
    std::size_t packed_ = 0;
    Call call_;
};

class DataGradientPack final : public WeightPack {
  public:
    explicit DataGradientPack(const Problem& told)
        : DataGradientPack(told, {told.attrs, told.threads}) {}

  private:
    DataGradientPack(const Problem& told, const ConvolutionProblem& problem)
        : WeightPack(told, problem.plain_weight(), problem.packed_data_weight()) {}
};

// oneDNN's dweight lies in the workspace, behind what both primitives use as scratchpad.
class WeightGradient final : public Kernel {
  public:
    explicit WeightGradient(const Problem& told)
        : WeightGradient(told, {told.attrs, told.threads}) {}

    std::size_t workspace() const override { return own_ + made_bytes_; }

    void run(const Run& run) const override {
        char* const made = run.workspace + own_;
        const void* const operands[] = {run.in(int(is_turned_)), run.in(int(!is_turned_)), made};
        if (!call_.execute(run, run.workspace, operands)) return;
        unblock_.run(run, run.workspace, reinterpret_cast<const float*>(made), run.out(0));
    }

  private:
    WeightGradient(const Problem& told, const ConvolutionProblem& problem)
        : WeightGradient(told, problem, checked(told, problem)) {}

    WeightGradient(const Problem& told, const ConvolutionProblem& problem,
                   const ConvolutionProblem::ToldWeight& primitive)
        : is_turned_(flag(told.attrs, "transpose")),
          call_(primitive,
                {{DNNL_ARG_DIFF_DST, primitive.diff_dst_desc()},
                 {DNNL_ARG_SRC, primitive.src_desc()},
                 {DNNL_ARG_DIFF_WEIGHTS, primitive.diff_weights_desc()}},
                told.threads),
          unblock_(primitive.diff_weights_desc(), problem.plain_weight(), told.threads,
                   flag(told.attrs, "accumulate")),
          own_((std::max(call_.scratchpad(), unblock_.scratchpad()) + 63) / 64 * 64),
          made_bytes_(primitive.diff_weights_desc().get_size()) {}

    static ConvolutionProblem::ToldWeight checked(const Problem& told,
                                                  const ConvolutionProblem& problem) {
        const bool adds = flag(told.attrs, "accumulate");
        require(told.reads.size() == 2 + std::size_t(adds) && told.writes.size() == 1,
                "number of operands");
        const bool is_turned = flag(told.attrs, "transpose");
        const Image dy = placed(problem.y(), told.reads, std::size_t(is_turned), "dy");
        const Image x = placed(problem.x(), told.reads, std::size_t(!is_turned), "x");
        require(!dy.has_gaps() && !x.has_gaps(), "gaps between samples");
        const auto size = std::int64_t(problem.plain_weight().get_size() / sizeof(float));
        require_flat(told.writes[0], size, "dweight");
        if (adds) require_flat(told.reads[2], size, "dweight");
        return problem.tell_weight();
    }

    bool is_turned_;
    Call call_;
    WeightUnblock unblock_;
    std::size_t own_, made_bytes_;
};

GRAPHC_KERNEL("dnnl_conv_dx", DataGradient)
GRAPHC_KERNEL("dnnl_conv_dx_pack", DataGradientPack)
GRAPHC_KERNEL("dnnl_conv_dweight", WeightGradient)

}  // namespace

}  // namespace graphc::onednn
