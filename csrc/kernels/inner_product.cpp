// "inner_product": y[n,o] = sum_k w[o,k] x[n,k] + bias[o], the weight streamed as it is.
// "inner_product_packed": the same for a weight (K, O), packed by "inner_product_pack".
//
// Operands: x (n..., k...), weight or packed weight, bias if attribute bias, residual if attribute
// residual; y (n..., o...). Attributes: axis, the first of k's, and those of ActivationOptions.

#include <memory>

#include "core/kernel.h"
#include "kernels/dot_products.h"
#include "kernels/implicit_gemm.h"
#include "kernels/spatial_options.h"

namespace graphc {

namespace {

class InnerProduct : public Kernel {
  public:
    explicit InnerProduct(const Problem& problem) : act_(problem.attrs) {
        has_bias_ = flag(problem.attrs, "bias");
        has_residual_ = flag(problem.attrs, "residual");
        const std::size_t reads = std::size_t(2 + int(has_bias_) + int(has_residual_));
        require(problem.reads.size() == reads && problem.writes.size() == 1, "operands");
        const Spec& x = problem.reads[0];
        const Spec& y = problem.writes[0];
        const std::int64_t axis = problem.attrs.integer("axis");
        require(axis >= 0 && axis <= x.rank && axis <= y.rank, "attribute axis");
        rows_ = x.count(0, int(axis));
        depth_ = x.count(int(axis), x.rank);
        outputs_ = y.count(int(axis), y.rank);
        require_flat(x, rows_ * depth_, "x");
        require_flat(y, rows_ * outputs_, "y");
        if (has_bias_) require_flat(problem.reads[2], outputs_, "bias");
        if (has_residual_) require_flat(problem.reads.back(), rows_ * outputs_, "residual");
    }

  protected:
    ActivationOptions act_;
    bool has_bias_ = false, has_residual_ = false;
    std::int64_t rows_ = 0, depth_ = 0, outputs_ = 0;
};

class Streamed final : public InnerProduct {
  public:
    explicit Streamed(const Problem& problem)
        : InnerProduct(problem), dots_(rows_, outputs_, depth_, problem.threads) {
        require_flat(problem.reads[1], outputs_ * depth_, "weight");
    }

    std::size_t workspace() const override { return dots_.workspace(); }

    void run(const Run& run) const override {
        DotProductsRun job{};
        job.x = run.in(0);
        job.x_row = depth_;
        job.w = run.in(1);
        job.bias = has_bias_ ? run.in(2) : nullptr;
        job.add = has_residual_ ? run.in(2 + int(has_bias_)) : nullptr;
        job.y = run.out(0);
        job.add_row = job.y_row = outputs_;
        job.workspace = run.workspace;
        job.threads = run.threads;
        job.activation = act_.activation;
        job.slope = act_.slope;
        dots_.run(job);
    }

  private:
    DotProducts dots_;
};

class Packed final : public InnerProduct {
  public:
    explicit Packed(const Problem& problem) : InnerProduct(problem) {
        ImplicitGemmShape shape = product_shape(rows_, outputs_, depth_);
        if (has_residual_) shape.r_images = shape.y_images;
        shape.threads = problem.threads;
        product_ = std::make_unique<ImplicitGemm>(std::move(shape));
        require_flat(problem.reads[1], product_->packed_size(), "packed weight");
    }

    std::size_t workspace() const override { return product_->workspace(); }

    void run(const Run& run) const override {
        ImplicitGemmRun job{};
        job.x = run.in(0);
        job.packed = run.in(1);
        job.bias = has_bias_ ? run.in(2) : nullptr;
        job.residual = has_residual_ ? run.in(2 + int(has_bias_)) : nullptr;
        job.y = run.out(0);
        job.workspace = run.workspace;
        job.threads = run.threads;
        job.activation = act_.activation;
        job.slope = act_.slope;
        product_->run(job);
    }

  private:
    std::unique_ptr<ImplicitGemm> product_;
};

// weight (K, O) -> packed.
class Pack final : public Kernel {
  public:
    explicit Pack(const Problem& problem) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        const Spec& weight = problem.reads[0];
        require(weight.rank == 2, "weight");
        require_flat(weight, weight.size(), "weight");
        product_ = std::make_unique<ImplicitGemm>(product_shape(0, weight.dims[1], weight.dims[0]));
        places_ = {0, 1, weight.dims[1], {0}};
        require_flat(problem.writes[0], product_->packed_size(), "packed weight");
    }

    void run(const Run& run) const override {
        product_->pack(run.in(0), places_, run.out(0), run.threads);
    }

  private:
    std::unique_ptr<ImplicitGemm> product_;
    WeightPlaces places_;
};

GRAPHC_KERNEL("inner_product", Streamed)
GRAPHC_KERNEL("inner_product_packed", Packed)
GRAPHC_KERNEL("inner_product_pack", Pack)

}  // namespace

}  // namespace graphc
