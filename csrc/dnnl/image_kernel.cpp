#include "dnnl/image_kernel.h"

#include "kernels/spatial_options.h"

namespace graphc::onednn {

ImageKernel::Operands::Operands(const Problem& problem) {
    engine();  // throws where there is none
    require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
    x = Image::blocked(problem.reads[0], "x");
    y = Image::blocked(problem.writes[0], "y");
    require(x.samples == y.samples && x.channels == y.channels, "y");
}

Call ImageKernel::prepare(const dnnl::primitive_desc& told, int threads) {
    refuse(told, {"ref"});
    return Call(told, {{DNNL_ARG_SRC, told.src_desc()}, {DNNL_ARG_DST, told.dst_desc()}}, threads);
}

}  // namespace graphc::onednn
