// "conv_dweight": the gradient of a convolution's weight (O, C / group, kernel...), or, with
// attribute transpose, of a deconvolution's, whose x is what windows are counted by. How it is
// done: weight_gradient.h.
//
// Operands: dy, x, with attribute accumulate dweight as well, to which is then added; writes
// dweight. Attributes: those of SpatialOptions, size that of the operand in which windows move.

#include <memory>

#include "core/kernel.h"
#include "kernels/spatial_options.h"
#include "kernels/weight_gradient.h"

namespace graphc {

namespace {

class ConvolutionWeightGradient final : public Kernel {
  public:
    explicit ConvolutionWeightGradient(const Problem& problem)
        : adds_(flag(problem.attrs, "accumulate")), is_turned_(flag(problem.attrs, "transpose")) {
        require(problem.reads.size() == 2 + std::size_t(adds_) && problem.writes.size() == 1,
                "number of operands");
        const SpatialOptions options(problem.attrs);
        const Spec& met = problem.reads[std::size_t(!is_turned_)];
        const Spec& made = problem.reads[std::size_t(is_turned_)];
        const std::size_t axis = std::size_t(options.axis);
        require(met.rank > options.axis && made.rank > options.axis, "axes of dy or x");
        const std::int64_t channels = met.dims[axis], outputs = made.dims[axis];
        require(channels % options.groups == 0 && outputs % options.groups == 0, "group");
        Extents in = options.size, out;
        for (int i = 0; i < options.spatial(); ++i) out.push_back(options.windows(i));
        in.insert(in.begin(), channels);
        out.insert(out.begin(), outputs);
        require_image(met, options.axis, in, "x");
        require_image(made, options.axis, out, "dy");
        WeightGradientShape shape;
        shape.groups = options.groups;
        shape.outputs = outputs / options.groups;
        shape.channels = channels / options.groups;
        const std::int64_t size = product({outputs, shape.channels, options.taps()});
        require_flat(problem.writes[0], size, "dweight");
        if (adds_) require_flat(problem.reads[2], size, "dweight");
        shape.axes = options.window_axes();
        for (std::size_t i = 0; i < shape.axes.size(); ++i) {
            if (met.size() > 0) shape.axes[i].x_pitch = met.strides[axis + 1 + i];
            const bool is_empty = made.size() == 0;
            if (!is_empty) shape.axes[i].y_pitch = made.strides[axis + 1 + i];
            shape.axes[i].r_pitch = shape.axes[i].y_pitch;
        }
        shape.x_images = image_offsets(met, options.axis);
        shape.dy_images = image_offsets(made, options.axis);
        require(shape.x_images.size() == shape.dy_images.size(), "axes before the channels");
        shape.x_channel = met.strides[axis];
        shape.dy_channel = made.strides[axis];
        shape.threads = problem.threads;
        gradient_ = std::make_unique<WeightGradient>(std::move(shape));
    }

    std::size_t workspace() const override { return gradient_->workspace(); }

    void run(const Run& run) const override {
        gradient_->run({run.in(int(is_turned_)), run.in(int(!is_turned_)), run.out(0), adds_,
                        run.workspace, run.threads});
    }

  private:
    bool adds_, is_turned_;
    std::unique_ptr<WeightGradient> gradient_;
};

GRAPHC_KERNEL("conv_dweight", ConvolutionWeightGradient)

}  // namespace

}  // namespace graphc
