// "dnnl_conv": reads x, blocked or plain, packed weight, bias if attribute bias, residual if
// attribute residual; writes y. Residual and y are blocked; they may be the same.
// "dnnl_conv_pack": reads weight (O, C / group, kernel...), writes the packed weight; attributes
// and threads are those of the convolution.

#include "dnnl/convolution.h"

#include "dnnl/packed_weight.h"
#include "dnnl/provider.h"
#include "dnnl/residual.h"

namespace graphc::onednn {

namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
constexpr auto f32 = dnnl::memory::data_type::f32;

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

Desc ConvolutionProblem::packed_weight() const {
    const auto any = made(threads_, [&] { return Desc(weight_dims(), f32, Tag::any); });
    return tell(x_.samples, any).weights_desc();
}

ConvolutionProblem::Told ConvolutionProblem::tell(std::int64_t samples, const Desc& weight) const {
    const Told told = made(threads_, [&] {
        const Desc bias = has_bias_ ? Desc({y_.channels}, f32, Tag::a) : Desc();
        const Dims dilation = {options_.dilation[0] - 1, options_.dilation[1] - 1};
        // oneDNN rounds the number of windows down, as Caffe does, if both ends are padded alike.
        return Told(engine(), dnnl::prop_kind::forward_inference,
                    dnnl::algorithm::convolution_direct, x_.desc(samples), weight, bias,
                    y_.desc(samples), options_.stride, dilation, options_.pad, options_.pad,
                    epilogue_attr(attrs_));
    });
    refuse(told, {"ref", "gemm"});
    return told;
}

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
        const Desc weight = problem.packed_weight();
        packed_ = packed_floats(weight);
        has_weight_ = has_weight(told.reads[1], weight);
        const auto primitive = problem.tell(batches_.samples, weight);
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
