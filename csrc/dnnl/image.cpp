#include "dnnl/image.h"

#include "dnnl/provider.h"
#include "kernels/spatial_options.h"

namespace graphc::onednn {

namespace {

using Tag = dnnl::memory::format_tag;

constexpr std::int64_t kMost = INT32_MAX;  // oneDNN's loops count in ints

}  // namespace

Image Image::blocked(const Spec& spec, const std::string& what) {
    require(spec.rank == 5, what);
    const auto& dims = spec.dims;
    require(dims[1] >= 0 && dims[1] <= kMost && dims[4] == channel_block(), what);
    Image image{dims[0], dims[1] * dims[4], dims[2], dims[3], int(dims[4])};
    image.place(spec, what);
    return image;
}

void Image::place(const Spec& spec, const std::string& what) {
    const std::int64_t blocks = block > 0 ? (channels + block - 1) / block : channels;
    Spec sample;
    sample.rank = spec.rank;
    sample.dims = {samples, blocks, height, width, block};
    bool fits = spec.dtype == DType::f32 && spec.rank == (block > 0 ? 5 : 4);
    std::int64_t expected = 1;
    for (int i = spec.rank - 1; fits && i >= 0; --i) {
        const std::int64_t extent = sample.dims[i], stride = spec.strides[i];
        fits = spec.dims[i] == extent && extent >= 1 && extent <= kMost &&
               (extent == 1 || (i == 0 ? stride >= expected : stride == expected));
        expected *= extent;
    }
    require(fits, what);
    step = spec.strides[0];
}

std::int64_t Image::size() const {
    const std::int64_t lanes = block > 0 ? (channels + block - 1) / block * block : channels;
    return lanes * height * width;
}

Desc Image::desc(std::int64_t count) const {
    const Tag tag = block == 16 ? Tag::nChw16c : block == 8 ? Tag::nChw8c : Tag::nchw;
    return Desc({count, channels, height, width}, dnnl::memory::data_type::f32, tag);
}

}  // namespace graphc::onednn
