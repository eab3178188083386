#include "dnnl/convolution.h"
#include "dnnl/provider.h"

namespace graphc::onednn {

namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
constexpr auto f32 = dnnl::memory::data_type::f32;
constexpr std::initializer_list<const char*> kSlow = {"ref", "gemm"};

std::int64_t count_of(const Attrs& attrs, const char* name) {
    const std::int64_t value = attrs.integer(name);
    require(value >= 1 && value <= INT32_MAX, std::string("attribute ") + name);
    return value;
}

}  // namespace

ConvolutionProblem::ConvolutionProblem(const Attrs& attrs, int threads)
    : attrs_(attrs),
      options_(attrs),
      threads_(threads),
      has_bias_(flag(attrs, "bias")),
      has_residual_(flag(attrs, "residual")) {
    engine();  // throws where there is none
    const std::int64_t block = attrs.integer("block");
    require(options_.spatial() == 2 && options_.axis == 1, "attribute axis");
    require(block == channel_block(), "attribute block");
    const std::int64_t batch = count_of(attrs, "batch");
    const int x_block = flag(attrs, "plain") ? 0 : int(block);
    x_ = {batch, count_of(attrs, "channels"), options_.size[0], options_.size[1], x_block};
    y_ = {batch, count_of(attrs, "outputs"), options_.windows(0), options_.windows(1), int(block)};
    const std::int64_t groups = options_.groups, channels = x_.channels, outputs = y_.channels;
    for (const Image& image : {x_, y_}) {
        require(product({batch, image.channels + block, image.height, image.width}) > 0, "size");
    }
    product({outputs + block, channels + block, options_.taps()});
    for (const std::int64_t each : options_.dilation) dilation_.push_back(each - 1);
    const bool is_depthwise = groups == channels && groups == outputs;
    require(groups == 1 || is_depthwise ||
                (channels % (groups * block) == 0 && outputs % (groups * block) == 0),
            "groups of which blocks hold several");
}

Dims ConvolutionProblem::weight_dims() const {
    const std::int64_t groups = options_.groups;
    Dims dims = {y_.channels / groups, x_.channels / groups, options_.kernel[0],
                 options_.kernel[1]};
    if (groups > 1) dims.insert(dims.begin(), groups);
    return dims;
}

Desc ConvolutionProblem::plain_weight() const {
    return made(threads_, [&] {
        return Desc(weight_dims(), f32, options_.groups > 1 ? Tag::goihw : Tag::oihw);
    });
}

ConvolutionProblem::Told ConvolutionProblem::best() const { return tell(x_.samples, any_weight()); }

Desc ConvolutionProblem::any_weight() const {
    return made(threads_, [&] { return Desc(weight_dims(), f32, Tag::any); });
}

ConvolutionProblem::Told ConvolutionProblem::tell(std::int64_t samples, const Desc& weight) const {
    const Told told = made(threads_, [&] {
        const Desc bias = has_bias_ ? Desc({y_.channels}, f32, Tag::a) : Desc();
        // oneDNN rounds the number of windows down, as Caffe does, if both ends are padded alike.
        return Told(engine(), dnnl::prop_kind::forward_inference,
                    dnnl::algorithm::convolution_direct, x_.desc(samples), weight, bias,
                    y_.desc(samples), options_.stride, dilation_, options_.pad, options_.pad,
                    epilogue_attr(attrs_));
    });
    refuse(told, kSlow);
    return told;
}

ConvolutionProblem::Told ConvolutionProblem::hint(std::int64_t samples) const {
    return Told(engine(), dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
                x_.desc(samples), Desc(weight_dims(), f32, Tag::any), y_.desc(samples),
                options_.stride, dilation_, options_.pad, options_.pad, plain_attr());
}

Desc ConvolutionProblem::packed_data_weight() const {
    return tell_data(x_.samples, any_weight()).weights_desc();
}

ConvolutionProblem::ToldData ConvolutionProblem::tell_data(std::int64_t samples,
                                                           const Desc& weight) const {
    const ToldData told = made(threads_, [&] {
        return ToldData(engine(), dnnl::algorithm::convolution_direct, x_.desc(samples), weight,
                        y_.desc(samples), options_.stride, dilation_, options_.pad, options_.pad,
                        hint(samples), plain_attr());
    });
    refuse(told, kSlow);
    return told;
}

ConvolutionProblem::ToldWeight ConvolutionProblem::tell_weight() const {
    const ToldWeight told = made(threads_, [&] {
        return ToldWeight(engine(), dnnl::algorithm::convolution_direct, x_.desc(x_.samples),
                          Desc(weight_dims(), f32, Tag::any), y_.desc(x_.samples), options_.stride,
                          dilation_, options_.pad, options_.pad, hint(x_.samples), plain_attr());
    });
    refuse(told, kSlow);
    return told;
}

}  // namespace graphc::onednn
