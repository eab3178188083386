// "inner_product_dx": dx[n,k] = sum_o dy[n,o] w[o,k]. Reads dy (n..., O), weight (O, K); writes
// dx (n..., k...).
// "inner_product_dweight": dw[o,k] = sum_n dy[n,o] x[n,k]. Reads dy, x, with attribute accumulate
// dweight as well, to which it then adds; writes dweight, (O, K) or, with attribute transpose,
// (K, O).
//
// Attribute axis: the first of k's, and o's in dy.

#include <memory>

#include "kernels/matrix.h"
#include "kernels/matrix_product.h"

namespace graphc {

namespace {

class DataGradient final : public Kernel {
  public:
    explicit DataGradient(const Problem& problem) {
        require(problem.reads.size() == 2 && problem.writes.size() == 1, "number of operands");
        const Matrix dy(problem, problem.reads[0], "dy"), dx(problem, problem.writes[0], "dx");
        outputs_ = dy.columns;
        depth_ = dx.columns;
        require(dy.rows == dx.rows, "dx");
        require_flat(problem.reads[1], outputs_ * depth_, "weight");
        product_ = std::make_unique<MatrixProduct>(dy.rows, depth_, outputs_, problem.threads);
    }

    std::size_t workspace() const override { return product_->workspace(); }

    void run(const Run& run) const override {
        product_->run({run.in(0), outputs_, 1, run.in(1), depth_, run.out(0), depth_, false,
                       run.workspace, run.threads});
    }

  private:
    std::unique_ptr<MatrixProduct> product_;
    std::int64_t outputs_ = 0, depth_ = 0;
};

class WeightGradient final : public Kernel {
  public:
    explicit WeightGradient(const Problem& problem)
        : adds_(flag(problem.attrs, "accumulate")), is_turned_(flag(problem.attrs, "transpose")) {
        require(problem.reads.size() == 2 + std::size_t(adds_) && problem.writes.size() == 1,
                "number of operands");
        const Matrix dy(problem, problem.reads[0], "dy"), x(problem, problem.reads[1], "x");
        require(dy.rows == x.rows, "x");
        rows_ = is_turned_ ? x.columns : dy.columns;
        columns_ = is_turned_ ? dy.columns : x.columns;
        require_flat(problem.writes[0], rows_ * columns_, "dweight");
        if (adds_) require_flat(problem.reads[2], rows_ * columns_, "dweight");
        product_ = std::make_unique<MatrixProduct>(rows_, columns_, dy.rows, problem.threads);
    }

    std::size_t workspace() const override { return product_->workspace(); }

    void run(const Run& run) const override {
        const float *left = run.in(int(is_turned_)), *right = run.in(int(!is_turned_));
        product_->run({left, 1, rows_, right, columns_, run.out(0), columns_, adds_, run.workspace,
                       run.threads});
    }

  private:
    bool adds_, is_turned_;
    std::unique_ptr<MatrixProduct> product_;
    std::int64_t rows_ = 0, columns_ = 0;
};

GRAPHC_KERNEL("inner_product_dx", DataGradient)
GRAPHC_KERNEL("inner_product_dweight", WeightGradient)

}  // namespace

}  // namespace graphc
