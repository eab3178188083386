// "dnnl_lrn": reads x, writes y, both blocked. Parameters, as of "lrn_across": radius (half the
// window), shift, share (the weight of one square), beta.

#include "dnnl/image_kernel.h"
#include "kernels/spatial_options.h"

namespace graphc::onednn {

namespace {

class Lrn final : public ImageKernel {
  public:
    explicit Lrn(const Problem& problem) : Lrn(problem, Operands(problem)) {}

  private:
    Lrn(const Problem& problem, const Operands& operands)
        : ImageKernel(problem, operands, [&](std::int64_t samples) {
              const Attrs& attrs = problem.attrs;
              const std::int64_t radius = attrs.integer("radius");
              require(radius >= 0 && radius < INT32_MAX / 2, "attribute radius");
              const std::int64_t window = 2 * radius + 1;
              return dnnl::lrn_forward::primitive_desc(
                  engine(), dnnl::prop_kind::forward_inference,
                  dnnl::algorithm::lrn_across_channels, operands.x.desc(samples),
                  operands.y.desc(samples), window, float(attrs.real("share") * double(window)),
                  float(attrs.real("beta")), float(attrs.real("shift")), plain_attr());
          }) {}
};

GRAPHC_KERNEL("dnnl_lrn", Lrn)

}  // namespace

}  // namespace graphc::onednn
