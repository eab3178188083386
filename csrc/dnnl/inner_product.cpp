// "dnnl_inner_product": y[n,o] = sum_k w[o,k] x[n,k] + bias[o], oneDNN's. Reads x (n..., k...),
// packed weight, bias if attribute bias, residual if attribute residual; writes y (n..., O), which
// may lie where the residual does.
// "dnnl_inner_product_pack": reads weight (O, K), writes the packed weight.
//
// Both have attributes axis, the first of k's, batch, outputs, depth (K), bias, and those of
// epilogue_attr(); the same threads.

#include <cstdint>

#include "dnnl/packed_weight.h"
#include "dnnl/residual.h"
#include "kernels/spatial_options.h"

namespace graphc::onednn {

namespace {

using Tag = dnnl::memory::format_tag;
constexpr auto f32 = dnnl::memory::data_type::f32;

struct ProductProblem {
    std::int64_t batch, outputs, depth;
    bool has_bias, has_residual;
    Desc plain;  // the weight
    dnnl::inner_product_forward::primitive_desc told;

    explicit ProductProblem(const Problem& problem)
        : batch(count(problem.attrs, "batch")),
          outputs(count(problem.attrs, "outputs")),
          depth(count(problem.attrs, "depth")),
          has_bias(flag(problem.attrs, "bias")),
          has_residual(flag(problem.attrs, "residual")) {
        told = made(problem.threads, [&] {
            plain = Desc({outputs, depth}, f32, Tag::ab);
            const Desc any({outputs, depth}, f32, Tag::any);
            const Desc bias = has_bias ? Desc({outputs}, f32, Tag::a) : Desc();
            return dnnl::inner_product_forward::primitive_desc(
                engine(), dnnl::prop_kind::forward_inference, Desc({batch, depth}, f32, Tag::ab),
                any, bias, Desc({batch, outputs}, f32, Tag::ab), epilogue_attr(problem.attrs));
        });
        refuse(told, {"ref"});
    }

  private:
    static std::int64_t count(const Attrs& attrs, const char* name) {
        const std::int64_t value = attrs.integer(name);
        require(value >= 1 && value <= INT32_MAX, std::string("attribute ") + name);
        return value;
    }
};

class InnerProduct final : public Kernel {
  public:
    explicit InnerProduct(const Problem& told) : InnerProduct(told, ProductProblem(told)) {}

    std::size_t workspace() const override { return call_.scratchpad(); }
    std::size_t packed() const override { return packed_; }

    void run(const Run& run) const override {
        if (!has_weight_) return report_missing_weight(run);
        if (has_residual_) {
            lay_residual(run.in(2 + int(has_bias_)), run.out(0), size_, run.threads);
        }
        const void* const addresses[] = {run.in(0), run.in(1), run.out(0),
                                         has_bias_ ? run.in(2) : nullptr};
        call_.execute(run, run.workspace, addresses);
    }

  private:
    InnerProduct(const Problem& told, const ProductProblem& problem)
        : has_bias_(problem.has_bias),
          has_residual_(problem.has_residual),
          size_(problem.batch * problem.outputs),
          packed_(packed_floats(problem.told.weights_desc())),
          call_(prepare(told, problem)) {}

    Call prepare(const Problem& told, const ProductProblem& problem) {
        const std::size_t reads = 2 + std::size_t(has_bias_) + std::size_t(has_residual_);
        require(told.reads.size() == reads && told.writes.size() == 1, "number of operands");
        const Spec& x = told.reads[0];
        const Spec& y = told.writes[0];
        const std::int64_t axis = told.attrs.integer("axis");
        require(axis >= 0 && axis <= x.rank && x.count(0, int(axis)) == problem.batch,
                "attribute axis");
        require(y.rank >= 1 && y.dims[std::size_t(y.rank - 1)] == problem.outputs, "y");
        require_flat(x, problem.batch * problem.depth, "x");
        require_flat(y, size_, "y");
        if (has_bias_) require_flat(told.reads[2], problem.outputs, "bias");
        if (has_residual_) require_flat(told.reads.back(), size_, "residual");
        const Desc weight = problem.told.weights_desc();
        has_weight_ = has_weight(told.reads[1], weight);
        std::vector<Call::Argument> arguments = {{DNNL_ARG_SRC, problem.told.src_desc()},
                                                 {DNNL_ARG_WEIGHTS, weight},
                                                 {DNNL_ARG_DST, problem.told.dst_desc()}};
        if (has_bias_) arguments.push_back({DNNL_ARG_BIAS, problem.told.bias_desc()});
        return Call(problem.told, arguments, told.threads);
    }

    bool has_bias_, has_residual_, has_weight_ = false;
    std::int64_t size_;
    std::size_t packed_;
    Call call_;
};

class Pack final : public WeightPack {
  public:
    explicit Pack(const Problem& told) : Pack(told, ProductProblem(told)) {}

  private:
    Pack(const Problem& told, const ProductProblem& problem)
        : WeightPack(told, problem.plain, problem.told.weights_desc()) {}
};

GRAPHC_KERNEL("dnnl_inner_product", InnerProduct)
GRAPHC_KERNEL("dnnl_inner_product_pack", Pack)

}  // namespace

}  // namespace graphc::onednn
