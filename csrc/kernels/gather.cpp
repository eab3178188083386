// "gather": reads x (N, ...) and index (M,), writes y[m] = x[index[m]]. Fault GC-D003 for an index
// that is no sample of x.

#include "gather.h"

#include <cstdio>

#include "error.h"
#include "kernels/copies.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class Gather final : public Kernel {
  public:
    explicit Gather(const Problem& problem) : row_(Walk{0, {}}, 1) {
        check_operands(problem, "gather", 2, 1);
        const Spec &x = problem.reads[0], &index = problem.reads[1], &y = problem.writes[0];
        check_alike(x, y, "gather", 0);
        if (x.rank < 1 || index.rank != 1 || index.dtype != DType::f32 ||
            index.dims[0] != y.dims[0]) {
            throw Error("GC-A001", "gather takes one number for each row of the result");
        }
        Spec row = y;
        row.dims[0] = 1;
        row_ = StridedCopy(walk_of(row, x, y), item_size(x.dtype));
        samples_ = x.dims[0];
        count_ = index.dims[0];
        index_step_ = index.strides[0];
        x_step_ = x.strides[0] * item_size(x.dtype);
        y_step_ = y.strides[0] * item_size(x.dtype);
        work_ = double(count_) * (5 + 0.1 * double(row.size()) * item_size(x.dtype));
    }

    void run(const Run& run) const override {
        const float* index = run.in(1);
        for (Index m = 0; m < count_; ++m) {
            if (sample_of(index[m * index_step_], samples_) < 0) {
                return refuse(run.fault, index[m * index_step_], m);
            }
        }
        split(count_, threads_for(work_, run.threads), [&](Index first, Index stop) {
            for (Index m = first; m < stop; ++m) {
                const Index n = sample_of(index[m * index_step_], samples_);
                row_.run(run.reads[0] + n * x_step_, run.writes[0] + m * y_step_, 1);
            }
        });
    }

  private:
    void refuse(Fault* fault, float index, Index at) const {
        if (!fault) return;
        fault->code = "GC-D003";
        std::snprintf(fault->message, sizeof fault->message,
                      "index %g at [%lld] is none of the %lld samples of x", double(index), at,
                      samples_);
    }

    StridedCopy row_;
    Index samples_ = 0, count_ = 0, index_step_ = 1, x_step_ = 0, y_step_ = 0;
    double work_ = 0;
};

GRAPHC_KERNEL("gather", Gather)

}  // namespace

}  // namespace graphc
