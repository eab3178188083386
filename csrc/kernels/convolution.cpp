// "conv": convolution along any number of spatial axes as an implicit matrix product, its weight
// packed by "conv_pack". How it is done: implicit_gemm.h, banded_gemm.h; operands:
// spatial_problem.h.

#include <algorithm>
#include <memory>

#include "kernels/banded_gemm.h"
#include "kernels/spatial_problem.h"

namespace graphc {

namespace {

class Convolution final : public Kernel {
  public:
    explicit Convolution(const Problem& told) : act_(told.attrs) {
        const SpatialProblem problem(told);
        has_bias_ = problem.has_bias;
        has_residual_ = problem.has_residual;
        Extents out;
        for (int i = 0; i < problem.options.spatial(); ++i) {
            out.push_back(problem.options.windows(i));
        }
        for (int i = 0; i < problem.pairs; ++i) {
            ImplicitGemmShape shape = problem.shape(i, out);
            shape.axes = problem.options.window_axes();
            problem.set_pitches(i, shape.axes);
            products_.push_back(spatial_gemm(std::move(shape)));
            workspace_ = std::max(workspace_, products_.back()->workspace());
        }
    }

    std::size_t workspace() const override { return workspace_; }

    void run(const Run& run) const override {
        const int pairs = int(products_.size());
        for (int i = 0; i < pairs; ++i) {
            products_[std::size_t(i)]->run(run_of(run, i, pairs, has_bias_, has_residual_, act_));
        }
    }

  private:
    ActivationOptions act_;
    std::vector<std::unique_ptr<SpatialGemm>> products_;
    std::size_t workspace_ = 0;
    bool has_bias_ = false, has_residual_ = false;
};

// weight (O, C / group, kernel...) -> packed.
class ConvolutionPack final : public Kernel {
  public:
    explicit ConvolutionPack(const Problem& problem) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        const SpatialOptions options(problem.attrs);
        const Spec& weight = problem.reads[0];
        const std::int64_t taps = options.taps();
        require(weight.rank >= 2 && weight.dims[0] % options.groups == 0, "weight");
        require_flat(weight, product({weight.dims[0], weight.dims[1], taps}), "weight");
        require_flat(
            problem.writes[0],
            packed_floats(options.groups, weight.dims[0] / options.groups, weight.dims[1], taps),
            "packed weight");
        ImplicitGemmShape shape;
        shape.groups = options.groups;
        shape.outputs = weight.dims[0] / options.groups;
        shape.channels = weight.dims[1];
        shape.axes = options.window_axes();
        places_.channel = taps;
        places_.output = taps * shape.channels;
        places_.group = places_.output * shape.outputs;
        for (std::int64_t t = 0; t < taps; ++t) places_.taps.push_back(t);
        product_ = std::make_unique<ImplicitGemm>(std::move(shape));
    }

    void run(const Run& run) const override {
        product_->pack(run.in(0), places_, run.out(0), run.threads);
    }

  private:
    std::unique_ptr<ImplicitGemm> product_;
    WeightPlaces places_;
};

GRAPHC_KERNEL("conv", Convolution)
GRAPHC_KERNEL("conv_pack", ConvolutionPack)

}  // namespace

}  // namespace graphc
