// A convolution over two spatial axes, and its gradients, as oneDNN is told of them.
#pragma once

#include "core/kernel.h"
#include "dnnl/engine.h"
#include "dnnl/image.h"
#include "kernels/spatial_options.h"

namespace graphc::onednn {

// Attributes of SpatialOptions (axis 1) and of epilogue_attr(), batch, channels, outputs, block,
// bias, plain (x is). All functions throw Error (GC-A001, GC-M002).
class ConvolutionProblem {
  public:
    using Told = dnnl::convolution_forward::primitive_desc;
    using ToldData = dnnl::convolution_backward_data::primitive_desc;
    using ToldWeight = dnnl::convolution_backward_weights::primitive_desc;

    ConvolutionProblem(const Attrs& attrs, int threads);

    const Image& x() const { return x_; }
    const Image& y() const { return y_; }
    bool has_bias() const { return has_bias_; }
    bool has_residual() const { return has_residual_; }

    // The weight (O, C / group, kernel...), with an axis of groups before it if there are several.
    Desc plain_weight() const;
    // A primitive for the whole batch, which chooses the layout of its weight; and that layout.
    Told best() const;
    Desc packed_weight() const { return best().weights_desc(); }
    // A primitive for `samples` samples and a weight in that layout.
    Told tell(std::int64_t samples, const Desc& weight) const;

    // The layout in which dx is made best, and a primitive that makes dx of dy and such a weight.
    Desc packed_data_weight() const;
    ToldData tell_data(std::int64_t samples, const Desc& weight) const;
    // A primitive that makes dweight, in a layout of its choice, of dy and x.
    ToldWeight tell_weight() const;

  private:
    dnnl::memory::dims weight_dims() const;
    Desc any_weight() const;
    // The convolution whose gradient is meant.
    Told hint(std::int64_t samples) const;

    const Attrs& attrs_;
    SpatialOptions options_;
    dnnl::memory::dims dilation_;
    int threads_;
    bool has_bias_, has_residual_;
    Image x_, y_;
};

}  // namespace graphc::onednn
