// "dnnl_conv": reads x, blocked or plain, packed weight, bias if attribute bias, residual if
// attribute residual; writes y. Residual and y are blocked; they may be the same.
// "dnnl_conv_pack": reads weight (O, C / group, kernel...), writes the packed weight; attributes
// and threads are those of the convolution.

#include "dnnl/convolution.h"

#include "dnnl/packed_weight.h"
#include "dnnl/residual.h"

namespace graphc::onednn {

namespace {

class Convolution final : public Kernel {
  public:
    explicit Convolution(const Problem& told) : Convolution(told, {told.attrs, told.threads}) {}

    std::size_t workspace() const override { return call_.scratchpad(); }
    std::size_t packed() const override { return packed_; }

    void run(const Run& run) const override {
        if (!has_weight_) return report_missing_weight(run);
        for (std::int64_t n = 0; n < batches_.runs; ++n) {
            float* const y = run.out(0) + n * y_.step;
            if (has_residual_) {
                const float* const residual = run.in(2 + int(has_bias_)) + n * r_.step;
                for (std::int64_t i = 0; i < batches_.samples; ++i) {
                    lay_residual(residual + i * r_.step, y + i * y_.step, y_.size(), run.threads);
                }
            }
            const void* const addresses[] = {run.in(0) + n * x_.step, run.in(1), y,
                                             has_bias_ ? run.in(2) : nullptr};
            if (!call_.execute(run, run.workspace, addresses)) return;
        }
    }

  private:
    Convolution(const Problem& told, const ConvolutionProblem& problem)
        : x_(placed(problem.x(), told.reads, 0, "x")),
          y_(placed(problem.y(), told.writes, 0, "y")),
          r_(y_),
          batches_(x_, y_),
          has_bias_(problem.has_bias()),
          has_residual_(problem.has_residual()),
          call_(prepare(told, problem)) {}

    static Image placed(Image image, const std::vector<Spec>& specs, std::size_t at,
                        const char* what) {
        require(specs.size() > at, "number of operands");
        image.place(specs[at], what);
        return image;
    }

    Call prepare(const Problem& told, const ConvolutionProblem& problem) {
        const std::size_t reads = 2 + std::size_t(has_bias_) + std::size_t(has_residual_);
        require(told.reads.size() == reads && told.writes.size() == 1, "number of operands");
        if (has_bias_) require_flat(told.reads[2], y_.channels, "bias");
        if (has_residual_) r_.place(told.reads.back(), "residual");
        const auto best = problem.best();
        const Desc weight = best.weights_desc();
        packed_ = packed_floats(weight);
        has_weight_ = has_weight(told.reads[1], weight);
        const auto primitive =
            batches_.samples == problem.x().samples ? best : problem.tell(batches_.samples, weight);
        std::vector<Call::Argument> arguments = {{DNNL_ARG_SRC, primitive.src_desc()},
                                                 {DNNL_ARG_WEIGHTS, weight},
                                                 {DNNL_ARG_DST, primitive.dst_desc()}};
        if (has_bias_) arguments.push_back({DNNL_ARG_BIAS, primitive.bias_desc()});
        return Call(primitive, arguments, told.threads);
    }

    Image x_, y_, r_;
    Batches batches_;
    bool has_bias_, has_residual_, has_weight_ = false;
    std::size_t packed_ = 0;
    Call call_;
};

class ConvolutionPack final : public WeightPack {
  public:
    explicit ConvolutionPack(const Problem& told)
        : ConvolutionPack(told, {told.attrs, told.threads}) {}

  private:
    ConvolutionPack(const Problem& told, const ConvolutionProblem& problem)
        : WeightPack(told, problem.plain_weight(), problem.packed_weight()) {}
};

GRAPHC_KERNEL("dnnl_conv", Convolution)
GRAPHC_KERNEL("dnnl_conv_pack", ConvolutionPack)

}  // namespace

}  // namespace graphc::onednn
