// "conv": convolution of any number of spatial axes as an implicit matrix product, its weights
// packed by "conv_pack". What each does is in implicit_gemm.h.
//
// Operands: x0, x1, ..., packed weight, bias if attribute bias, residual if attribute residual;
// y0, y1, ... Attributes: those of SpatialOptions and ActivationOptions.

#include <algorithm>
#include <memory>

#include "core/kernel.h"
#include "kernels/implicit_gemm.h"
#include "kernels/spatial_options.h"

namespace graphc {

namespace {

class Convolution final : public Kernel {
  public:
    explicit Convolution(const Problem& problem) : act_(problem.attrs) {
        const SpatialOptions options(problem.attrs);
        const int pairs = int(problem.writes.size());
        has_bias_ = flag(problem.attrs, "bias");
        has_residual_ = flag(problem.attrs, "residual");
        const int reads = pairs + 1 + int(has_bias_) + int(has_residual_);
        require(pairs >= 1 && int(problem.reads.size()) == reads, "number of operands");
        require(!has_residual_ || pairs == 1, "a residual for more than one y");
        const Spec* residual = has_residual_ ? &problem.reads.back() : nullptr;
        for (int i = 0; i < pairs; ++i) {
            products_.push_back(std::make_unique<ImplicitGemm>(
                shape_of(problem, options, problem.reads[i], problem.writes[i], residual)));
        }
        const Spec& y = problem.writes[0];
        require_flat(problem.reads[pairs], products_[0]->packed_size(), "packed weight");
        if (has_bias_) require_flat(problem.reads[pairs + 1], y.dims[options.axis], "bias");
    }

    std::size_t workspace() const override {
        std::size_t most = 0;
        for (const auto& product : products_) most = std::max(most, product->workspace());
        return most;
    }

    void run(const Run& run) const override {
        const int pairs = int(products_.size());
        ImplicitGemmRun job{};
        job.packed = run.in(pairs);
        job.bias = has_bias_ ? run.in(pairs + 1) : nullptr;
        job.residual = has_residual_ ? run.in(pairs + 1 + int(has_bias_)) : nullptr;
        job.workspace = run.workspace;
        job.threads = run.threads;
        job.activation = act_.activation;
        job.slope = act_.slope;
        for (int i = 0; i < pairs; ++i) {
            job.x = run.in(i);
            job.y = run.out(i);
            products_[i]->run(job);
        }
    }

  private:
    static ImplicitGemmShape shape_of(const Problem& problem, const SpatialOptions& options,
                                      const Spec& x, const Spec& y, const Spec* residual) {
        const int axis = options.axis;
        ImplicitGemmShape shape;
        shape.axes = options.window_axes();
        Extents in = options.size, out;
        for (const WindowAxis& each : shape.axes) out.push_back(each.windows);
        require(x.rank > axis && y.rank > axis, "axes of x or y");
        in.insert(in.begin(), x.dims[axis]);
        out.insert(out.begin(), y.dims[axis]);
        require_image(x, axis, in, "x");
        require_image(y, axis, out, "y");
        if (residual) require_image(*residual, axis, out, "residual");
        for (std::size_t i = 0; i < shape.axes.size(); ++i) {
            const std::size_t at = std::size_t(axis) + 1 + i;
            shape.axes[i].x_pitch = x.strides[at];
            shape.axes[i].y_pitch = y.strides[at];
            shape.axes[i].r_pitch = residual ? residual->strides[at] : y.strides[at];
        }
        require(in[0] % options.groups == 0 && out[0] % options.groups == 0, "group");
        shape.groups = options.groups;
        shape.channels = in[0] / options.groups;
        shape.outputs = out[0] / options.groups;
        shape.x_images = image_offsets(x, axis);
        shape.y_images = image_offsets(y, axis);
        shape.x_channel = x.strides[axis];
        shape.y_channel = y.strides[axis];
        if (residual) {
            shape.r_images = image_offsets(*residual, axis);
            shape.r_channel = residual->strides[axis];
            require(shape.r_images.size() == shape.y_images.size(), "residual");
        }
        require(shape.x_images.size() == shape.y_images.size(), "y");
        shape.threads = problem.threads;
        return shape;
    }

    ActivationOptions act_;
    std::vector<std::unique_ptr<ImplicitGemm>> products_;
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
        require_flat(weight, weight.dims[0] * weight.dims[1] * taps, "weight");
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
        require_flat(problem.writes[0], product_->packed_size(), "packed weight");
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
