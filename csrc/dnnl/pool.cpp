// "dnnl_max_pool", "dnnl_mean_pool": read x, write y, both blocked. Parameters: kernel, stride,
// pad, each (along H, along W).

#include <algorithm>
#include <array>

#include "dnnl/image_kernel.h"
#include "kernels/spatial_options.h"

namespace graphc::onednn {

namespace {

using Dims = dnnl::memory::dims;

// Caffe's windows along H and W. As many as y has: the last may end beyond the padded image.
struct PoolWindows {
    Dims kernel, stride, pad, pad_after;
    bool is_clipped = false;  // does a window end beyond the padded image?
    bool is_padded = false;   // does a window begin before the image or reach into its padding?

    PoolWindows(const Attrs& attrs, const Image& x, const Image& y)
        : kernel(read(attrs, "kernel", 1)),
          stride(read(attrs, "stride", 1)),
          pad(read(attrs, "pad", 0)) {
        const std::array<std::int64_t, 2> in = {x.height, x.width}, out = {y.height, y.width};
        for (std::size_t i = 0; i < 2; ++i) {
            const std::int64_t last = (out[i] - 1) * stride[i] - pad[i];
            require(pad[i] < kernel[i] && last < in[i], "windows that lie in the padding");
            pad_after.push_back(last + kernel[i] - in[i]);
            is_clipped = is_clipped || pad_after[i] > pad[i];
            is_padded = is_padded || pad[i] > 0;
        }
    }

  private:
    static Dims read(const Attrs& attrs, const char* name, std::int64_t least) {
        const Dims& both = attrs.integers(name);
        require(both.size() == 2, std::string("attribute ") + name);
        for (const std::int64_t value : both) {
            require(value >= least && value <= INT32_MAX, std::string("attribute ") + name);
        }
        return both;
    }
};

class Pool : public ImageKernel {
  protected:
    Pool(const Problem& problem, const Operands& operands, const PoolWindows& windows,
         dnnl::algorithm algorithm)
        : ImageKernel(problem, operands, [&](std::int64_t samples) {
              return dnnl::pooling_forward::primitive_desc(
                  engine(), dnnl::prop_kind::forward_inference, algorithm, operands.x.desc(samples),
                  operands.y.desc(samples), windows.stride, windows.kernel, {0, 0}, windows.pad,
                  windows.pad_after, plain_attr());
          }) {}
};

class MaxPool final : public Pool {
  public:
    explicit MaxPool(const Problem& problem) : MaxPool(problem, Operands(problem)) {}

  private:
    MaxPool(const Problem& problem, const Operands& operands)
        : Pool(problem, operands, PoolWindows(problem.attrs, operands.x, operands.y),
               dnnl::algorithm::pooling_max) {}
};

// Caffe divides by a window's extent inside the padded image. oneDNN knows two divisors: the whole
// window, which is that where no window is clipped, and its part in the image, which is that where
// nothing is padded.
class MeanPool final : public Pool {
  public:
    explicit MeanPool(const Problem& problem) : MeanPool(problem, Operands(problem)) {}

  private:
    MeanPool(const Problem& problem, const Operands& operands)
        : MeanPool(problem, operands, PoolWindows(problem.attrs, operands.x, operands.y)) {}

    MeanPool(const Problem& problem, const Operands& operands, const PoolWindows& windows)
        : Pool(problem, operands, windows, divisor(windows)) {}

    static dnnl::algorithm divisor(const PoolWindows& windows) {
        if (!windows.is_clipped) return dnnl::algorithm::pooling_avg_include_padding;
        require(!windows.is_padded, "means over windows both padded and clipped");
        return dnnl::algorithm::pooling_avg_exclude_padding;
    }
};

GRAPHC_KERNEL("dnnl_max_pool", MaxPool)
GRAPHC_KERNEL("dnnl_mean_pool", MeanPool)

}  // namespace

}  // namespace graphc::onednn
