// "dnnl_conv_dx": reads dy, packed weight; writes dx. "dnnl_conv_dx_pack": reads weight
// (O, C / group, kernel...), writes the packed weight.
// "dnnl_conv_dweight": reads dy, x, with attribute accumulate dweight as well, to which it then
// adds; writes dweight, shaped as the weight.
//
// dy is blocked, dx as well, x blocked or plain (attribute plain). Attributes: those of the
// convolution.

#include <algorithm>

#include "dnnl/blocked_weight.h"
#include "dnnl/convolution.h"
#include "dnnl/packed_weight.h"

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
    }

  private:
    DataGradient(const Problem& told, const ConvolutionProblem& problem)
        : dy_(placed(problem.y(), told.reads, 0, "dy")),
          dx_(placed(problem.x(), told.writes, 0, "dx")),
          batches_(dx_, dy_),
          call_(prepare(told, problem)) {}

    Call prepare(const Problem& told, const ConvolutionProblem& problem) {
        require(told.reads.size() == 2 && told.writes.size() == 1, "number of operands");
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
        const void* const operands[] = {run.in(0), run.in(1), made};
        if (!call_.execute(run, run.workspace, operands)) return;
        unblock_.run(run, run.workspace, reinterpret_cast<const float*>(made), run.out(0));
    }

  private:
    WeightGradient(const Problem& told, const ConvolutionProblem& problem)
        : WeightGradient(told, problem, checked(told, problem)) {}

    WeightGradient(const Problem& told, const ConvolutionProblem& problem,
                   const ConvolutionProblem::ToldWeight& primitive)
        : call_(primitive,
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
        const Image dy = placed(problem.y(), told.reads, 0, "dy");
        const Image x = placed(problem.x(), told.reads, 1, "x");
        require(!dy.has_gaps() && !x.has_gaps(), "gaps between samples");
        const auto size = std::int64_t(problem.plain_weight().get_size() / sizeof(float));
        require_flat(told.writes[0], size, "dweight");
        if (adds) require_flat(told.reads[2], size, "dweight");
        return problem.tell_weight();
    }

    Call call_;
    WeightUnblock unblock_;
    std::size_t own_, made_bytes_;
};

GRAPHC_KERNEL("dnnl_conv_dx", DataGradient)
GRAPHC_KERNEL("dnnl_conv_dx_pack", DataGradientPack)
GRAPHC_KERNEL("dnnl_conv_dweight", WeightGradient)

}  // namespace

}  // namespace graphc::onednn
